# Looks for secrets wherever a process can look, and says where each was found, never what it is.
#   sh search.sh PATTERNS PIDS FOLDER...
# PATTERNS has a line each, a name and the secret written backwards: so that nobody finds this search itself. PIDS are
# process ids, or `all`. It wants busybox as $b. Absent: any way around what refuses it.
patterns=$1 pids=$2
shift 2
b=${b:-busybox}
work=${work:-/tmp}
$b cut -f 2 "$patterns" >"$work/backwards"
seen=0 regions=0

# Names what stdin holds.
look() {
  # A line each, for grep names only the first of a line.
  $b strings -n 8 | $b tr -c 'A-Za-z0-9._~+/=-' '\n' | $b rev | $b grep -F -o -f "$work/backwards" | $b sort -u >"$work/hits"
  while read -r hit; do
    while IFS='	' read -r name secret; do
      if [ "$secret" = "$hit" ]; then echo "canary: found $name in $1"; fi
    done <"$patterns"
  done <"$work/hits"
}

memory() {
  while IFS=' -' read -r start end rights _; do
    case $rights in rw*) ;; *) continue ;; esac
    case $start in ffffffff*) continue ;; esac
    regions=$((regions + 1))
    $b dd if="/proc/$1/mem" bs=4096 skip=$((0x$start / 4096)) count=$(((0x$end - 0x$start) / 4096)) 2>/dev/null
  done <"/proc/$1/maps" | look memory
}

if [ "$pids" = all ]; then pids=$(cd /proc && echo [0-9]*); fi
for pid in $pids; do
  [ -d "/proc/$pid" ] || continue
  seen=$((seen + 1))
  { $b cat "/proc/$pid/environ"; echo; $b cat "/proc/$pid/cmdline"; } 2>/dev/null | look environment
  memory "$pid" 2>/dev/null
  for file in "/proc/$pid/fd"/*; do
    if [ -f "$file" ]; then $b cat "$file"; fi
  done 2>/dev/null | look descriptors
  for way in root cwd; do
    case $($b ls "/proc/$pid/$way/" 2>/dev/null) in *store-id*) echo "canary: found the store in /proc" ;; esac
  done
done
for folder in "$@"; do
  # The whole of /proc besides what processes have was looked at, or is the kernel's.
  $b find "$folder" \( -path /proc -o -path /sys \) -prune -o -type f -size -40000k -print0 2>/dev/null |
    $b xargs -0 $b tail -n +1 2>/dev/null | look files
done
for file in /proc/keys /proc/key-users /proc/kcore /proc/sys/kernel/core_pattern /proc/net/unix /proc/mounts; do
  $b dd if=$file bs=4096 count=256 2>/dev/null | look kernel
done
# Named sockets of this network, abstract ones too: each a way to somebody.
$b awk 'NR > 1 && NF > 7 { print "canary: found socket " $8 }' /proc/net/unix 2>/dev/null
$b mkfifo "$work/line"
ask() {
  # Open for both: the request has no end, which some servers take for somebody who has gone.
  exec 3<>"$work/line"
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\nMetadata: true\r\n\r\n' "$2" "$1" >&3
  $b nc -w 4 "$1" 80 <"$work/line" 2>/dev/null | $b grep -q "$3" && echo "canary: found $3 at $1"
  exec 3>&-
}
ask 169.254.169.254 '/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F' access_token
ask 168.63.129.16 '/machine?comp=goalstate' GoalState
echo "canary: searched $seen processes"
