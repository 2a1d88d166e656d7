//! Which vertex may start: those whose inputs are done, side by side, in the graph's order. Knows nothing
//! of what a vertex does.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

use model::{BuildGraph, Failure, VertexId};

/// Shared by the threads that work on one graph.
pub(crate) struct Schedule<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    users: Vec<Vec<usize>>,
}

struct State<T> {
    ready: BTreeSet<usize>,
    /// Inputs that are not done yet.
    waiting: Vec<usize>,
    results: Vec<Option<T>>,
    left: usize,
    failure: Option<Failure>,
}

impl<T: Clone> Schedule<T> {
    pub(crate) fn new(graph: &BuildGraph) -> Self {
        let count = graph.vertices.len();
        let mut users = vec![Vec::new(); count];
        let mut waiting = vec![0; count];
        for (index, vertex) in graph.vertices.iter().enumerate() {
            let inputs: BTreeSet<VertexId> = vertex.op.inputs().into_iter().collect();
            waiting[index] = inputs.len();
            for input in inputs {
                users[input.0].push(index);
            }
        }
        let ready = (0..count).filter(|i| waiting[*i] == 0).collect();
        let results = (0..count).map(|_| None).collect();
        let state = State { ready, waiting, results, left: count, failure: None };
        Self { state: Mutex::new(state), changed: Condvar::new(), users }
    }

    /// Waits for a vertex to work on; none when all is done or something failed.
    pub(crate) fn next(&self) -> Option<VertexId> {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() || state.left == 0 {
                return None;
            }
            if let Some(index) = state.ready.pop_first() {
                return Some(VertexId(index));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The result of a vertex that is done.
    pub(crate) fn result(&self, id: VertexId) -> Option<T> {
        self.lock().results.get(id.0).cloned().flatten()
    }

    pub(crate) fn done(&self, id: VertexId, result: T) {
        let mut state = self.lock();
        state.results[id.0] = Some(result);
        state.left -= 1;
        for &user in &self.users[id.0] {
            state.waiting[user] -= 1;
            if state.waiting[user] == 0 {
                state.ready.insert(user);
            }
        }
        self.changed.notify_all();
    }

    /// The first failure counts; true if this was it.
    pub(crate) fn fail(&self, failure: Failure) -> bool {
        let mut state = self.lock();
        let first = state.failure.is_none();
        state.failure.get_or_insert(failure);
        self.changed.notify_all();
        first
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
