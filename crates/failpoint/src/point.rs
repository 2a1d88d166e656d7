//! The points, in the order in which a run passes them.

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A place on the line.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum Point { $($(#[$doc])* $name,)* }

        #[cfg(feature = "armed")]
        impl Point {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As files and reports call it: `role.place`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

points! {
    /// A run was asked for and checked, and is not written down.
    ServerBeforeCommit = "server.before_commit",
    /// It is written down, and nobody was answered.
    ServerAfterCommit = "server.after_commit",
    /// A run is leased, and nothing was done for it.
    WorkerLeased = "worker.leased",
    /// The cell has found the source, and has not heard that this is written down.
    WorkerFetched = "worker.fetched",
    /// The cell told that a vertex began.
    WorkerVertexStarted = "worker.vertex_started",
    /// A layer has its name in the store; no row knows of it.
    WorkerLayerLinked = "worker.layer_linked",
    /// A layer is announced to the publisher, and the cell does not know.
    WorkerAnnounced = "worker.announced",
    /// The run's end is known here alone.
    WorkerBeforeFinish = "worker.before_finish",
    /// It is written down; the lease has ended.
    WorkerAfterFinish = "worker.after_finish",
    /// A publication is leased.
    PublisherLeased = "publisher.leased",
    /// The registry has a blob, the journal does not say so.
    PublisherBlobPushed = "publisher.blob_pushed",
    /// The tags are claimed: a cancel is too late from here on.
    PublisherTagsClaimed = "publisher.tags_claimed",
    /// A manifest was put under a tag.
    PublisherTagPut = "publisher.tag_put",
    /// Everything was read back; the run has not ended.
    PublisherBeforeCommit = "publisher.before_commit",
    /// The run has ended; nobody was told.
    PublisherAfterCommit = "publisher.after_commit",
    /// A report is taken from the outbox, and not sent.
    ReporterBefore = "reporter.before",
    /// It was heard, and that is not written down.
    ReporterAfter = "reporter.after",
}

#[cfg(feature = "armed")]
impl std::fmt::Debug for Point {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.name())
    }
}

#[cfg(not(feature = "armed"))]
impl std::fmt::Debug for Point {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
