//! What a handler learns beside the request itself.

use crate::telemetry::trace::TraceParent;

/// The circumstances of a request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The first token of the reply subject: `_INBOX_scheduler-m-front` for a process with an
    /// identity. NATS lets a process subscribe to its own inbox alone, but lets anybody *name*
    /// another's, so it says where the answer goes and is no proof of who asks. Empty where nobody waits for it.
    pub caller: String,
    /// Who asks: the public key of a person whose request came through the border at which the NATS server itself says
    /// whose it is; else the process that `caller` names, or `somebody`.
    pub asker: String,
    /// The project to whose servers the asker is bound, by the same server's word; none for everybody else.
    pub project: Option<String>,
    /// The trace that the request belongs to, if it came with one or this process makes one. What the handler sends belongs
    /// to it by itself.
    pub trace: Option<TraceParent>,
    /// The epoch under which this process answers; none for a service without a lease.
    pub epoch: Option<u64>,
}
