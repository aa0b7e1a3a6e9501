//! The calls that the `virt` crate lacks or gets wrong, each wrapped once and safely.
//!
//! Callbacks run on libvirt's event thread: they copy what they are given and push it into a
//! channel, nothing else.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt_sys as sys;

/// A typed parameter's value, integers widened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Flag(bool),
    Text(String),
}

impl Value {
    pub(super) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Signed(value) => u64::try_from(*value).ok(),
            Self::Flag(value) => Some(u64::from(*value)),
            Self::Float(_) | Self::Text(_) => None,
        }
    }
}

/// Typed parameters by name.
pub(super) type Params = HashMap<String, Value>;

/// What libvirt reports, as numbers; `events` gives them their meaning.
pub(super) enum Raw {
    Lifecycle { name: String, event: c_int, detail: c_int },
    Reboot { name: String },
    JobCompleted { name: String, stats: Params },
    Closed { reason: c_int },
}

/// Where callbacks put what they saw. It must not block.
pub(super) type Sink = Arc<dyn Fn(Raw) + Send + Sync>;

fn check(code: c_int) -> Result<c_int, Error> {
    if code < 0 { Err(Error::last_error()) } else { Ok(code) }
}

/// # Safety
/// `text` is null or a NUL-terminated string valid during the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and NUL-terminated by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// `params` points to `count` initialised parameters, or `count` is 0.
unsafe fn read_params(params: sys::virTypedParameterPtr, count: c_int) -> Params {
    let count = usize::try_from(count).unwrap_or(0);
    (0..count)
        .filter_map(|index| {
            // SAFETY: index < count, so within the caller's array; the type tag says which
            // member of the union libvirt has written.
            let (name, value) = unsafe {
                let param = &*params.add(index);
                let value = match u32::try_from(param.type_).ok()? {
                    sys::VIR_TYPED_PARAM_INT => Value::Signed(param.value.i.into()),
                    sys::VIR_TYPED_PARAM_UINT => Value::Unsigned(param.value.ui.into()),
                    sys::VIR_TYPED_PARAM_LLONG => Value::Signed(param.value.l),
                    sys::VIR_TYPED_PARAM_ULLONG => Value::Unsigned(param.value.ul),
                    sys::VIR_TYPED_PARAM_DOUBLE => Value::Float(param.value.d),
                    sys::VIR_TYPED_PARAM_BOOLEAN => Value::Flag(param.value.b != 0),
                    sys::VIR_TYPED_PARAM_STRING => Value::Text(text(param.value.s)),
                    _ => return None,
                };
                (text(param.field.as_ptr()), value)
            };
            Some((name, value))
        })
        .collect()
}

/// State and reason, as libvirt numbers them. (`virt` 0.5 drops the error of this call.)
pub(super) fn state(domain: &Domain) -> Result<(c_int, c_int), Error> {
    let (mut state, mut reason) = (0, 0);
    // SAFETY: the domain is alive while borrowed; both out-parameters are valid.
    check(unsafe { sys::virDomainGetState(domain.as_ptr(), &mut state, &mut reason, 0) })?;
    Ok((state, reason))
}

/// The job's kind and figures. (`virt` 0.5 aborts a debug build when there is no job.)
pub(super) fn job_stats(domain: &Domain, flags: u32) -> Result<(u32, Params), Error> {
    let (mut kind, mut params, mut count) = (0, ptr::null_mut(), 0);
    // SAFETY: out-parameters are valid; what libvirt allocates is freed just below.
    unsafe {
        check(sys::virDomainGetJobStats(domain.as_ptr(), &mut kind, &mut params, &mut count, flags))?;
        let stats = read_params(params, count);
        sys::virTypedParamsFree(params, count);
        Ok((u32::try_from(kind).unwrap_or(0), stats))
    }
}

/// Ends the domain's running job.
pub(super) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is alive while borrowed.
    check(unsafe { sys::virDomainAbortJob(domain.as_ptr()) }).map(drop)
}

/// Has the guest's own agent freeze its file systems, and says how many it has frozen. The bound, in
/// seconds, is for each of its answers, from now on.
pub(super) fn freeze(domain: &Domain, seconds: c_int) -> Result<c_int, Error> {
    // SAFETY: the domain is alive while borrowed; no list of mount points means all of them.
    unsafe {
        check(sys::virDomainAgentSetResponseTimeout(domain.as_ptr(), seconds, 0))?;
        check(sys::virDomainFSFreeze(domain.as_ptr(), ptr::null_mut(), 0, 0))
    }
}

/// Bounds each answer of the guest's own agent from now on, in seconds.
pub(super) fn agent_answers_within(domain: &Domain, seconds: c_int) -> Result<(), Error> {
    // SAFETY: the domain is alive while borrowed.
    check(unsafe { sys::virDomainAgentSetResponseTimeout(domain.as_ptr(), seconds, 0) }).map(drop)
}

/// Has the guest's own agent thaw them; none that are frozen is success.
pub(super) fn thaw(domain: &Domain) -> Result<(), Error> {
    // SAFETY: as above.
    check(unsafe { sys::virDomainFSThaw(domain.as_ptr(), ptr::null_mut(), 0, 0) }).map(drop)
}

/// Begins the backup that the XML describes, without a checkpoint.
pub(super) fn begin_backup(domain: &Domain, xml: &str) -> Result<(), Error> {
    let xml = CString::new(xml)?;
    // SAFETY: the domain is alive while borrowed; the text outlives the call, which copies it.
    check(unsafe { sys::virDomainBackupBegin(domain.as_ptr(), xml.as_ptr(), ptr::null(), 0) }).map(drop)
}

/// Has QEMU copy into the disk what it shows of the files between it and `base`, which it then stands on; at most so
/// many MiB a second, 0 without bound. The job goes on after the call.
pub(super) fn begin_pull(domain: &Domain, disk: &CStr, base: &str, mib: u32) -> Result<(), Error> {
    let base = CString::new(base)?;
    // SAFETY: the domain is alive while borrowed; both texts outlive the call, which copies them.
    let code =
        unsafe { sys::virDomainBlockRebase(domain.as_ptr(), disk.as_ptr(), base.as_ptr(), c_ulong::from(mib), 0) };
    check(code).map(drop)
}

/// Whether a job of that disk's is under way.
pub(super) fn has_disk_job(domain: &Domain, disk: &CStr) -> Result<bool, Error> {
    let mut info = sys::virDomainBlockJobInfo { type_: 0, bandwidth: 0, cur: 0, end: 0 };
    // SAFETY: the domain is alive while borrowed; the text and the out-parameter are valid during the call.
    let found = check(unsafe { sys::virDomainGetBlockJobInfo(domain.as_ptr(), disk.as_ptr(), &mut info, 0) })?;
    Ok(found > 0)
}

/// Breaks off the job of that disk's, and waits until it has ended.
pub(super) fn end_disk_job(domain: &Domain, disk: &CStr) -> Result<(), Error> {
    // SAFETY: the domain is alive while borrowed; the text is valid during the call.
    check(unsafe { sys::virDomainBlockJobAbort(domain.as_ptr(), disk.as_ptr(), 0) }).map(drop)
}

/// Starts measuring the dirty rate for that many seconds; the result is in the bulk statistics.
pub(super) fn start_dirty_rate(domain: &Domain, seconds: c_int) -> Result<(), Error> {
    // SAFETY: the domain is alive while borrowed.
    check(unsafe { sys::virDomainStartDirtyRateCalc(domain.as_ptr(), seconds, 0) }).map(drop)
}

/// Migrates; blocks until the end. (`virt` 0.5 leaks its strings.)
pub(super) fn migrate(domain: &Domain, target: &str, params: &[(&CStr, Value)], flags: u32) -> Result<(), Error> {
    let target = CString::new(target)?;
    let texts = params
        .iter()
        .map(|(_, value)| match value {
            Value::Text(text) => CString::new(text.as_str()),
            _ => Ok(CString::default()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (mut list, mut count, mut capacity) = (ptr::null_mut(), 0, 0);
    // SAFETY: names and strings outlive the calls, which copy them; the list is libvirt's own
    // and is freed on every path.
    unsafe {
        let mut outcome = Ok(0);
        for ((name, value), text) in params.iter().zip(&texts) {
            let (list, count, capacity) = (&mut list, &mut count, &mut capacity);
            outcome = outcome.and(check(match value {
                Value::Text(_) => sys::virTypedParamsAddString(list, count, capacity, name.as_ptr(), text.as_ptr()),
                Value::Unsigned(value) => sys::virTypedParamsAddULLong(list, count, capacity, name.as_ptr(), *value),
                Value::Signed(value) => sys::virTypedParamsAddInt(
                    list,
                    count,
                    capacity,
                    name.as_ptr(),
                    c_int::try_from(*value).unwrap_or(c_int::MAX),
                ),
                Value::Float(value) => sys::virTypedParamsAddDouble(list, count, capacity, name.as_ptr(), *value),
                Value::Flag(value) => {
                    sys::virTypedParamsAddBoolean(list, count, capacity, name.as_ptr(), c_int::from(*value))
                }
            }));
        }
        let outcome = outcome.and_then(|_| {
            check(sys::virDomainMigrateToURI3(domain.as_ptr(), target.as_ptr(), list, count.unsigned_abs(), flags))
        });
        sys::virTypedParamsFree(list, count);
        outcome.map(drop)
    }
}

/// Statistics of every domain, by name.
pub(super) fn all_stats(connect: &Connect, kinds: u32, flags: u32) -> Result<Vec<(String, Params)>, Error> {
    let mut records = ptr::null_mut();
    // SAFETY: libvirt fills a list of `count` valid records, which is freed after being copied.
    unsafe {
        let count = check(sys::virConnectGetAllDomainStats(connect.as_ptr(), kinds, &mut records, flags))?;
        let all = (0..usize::try_from(count).unwrap_or(0))
            .map(|index| {
                let record = &**records.add(index);
                let name = text(sys::virDomainGetName(record.dom));
                (name, read_params(record.params, record.nparams))
            })
            .collect();
        sys::virDomainStatsRecordListFree(records);
        Ok(all)
    }
}

/// Has tokio tell when the descriptor becomes readable. Needs a runtime's context.
pub(super) fn watch_readable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays the same open descriptor for as long as the AsyncFd holds it, and
    // nothing here replaces it through `get_mut`.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(Into::into)
}

/// The callbacks of one connection; dropping it takes them back, so that the connection can close.
pub(super) struct Subscription {
    connect: Connect,
    ids: Vec<c_int>,
}

impl Subscription {
    /// Subscribes to lifecycle, reboot and job-completed events, and to the connection's end.
    pub(super) fn new(connect: &Connect, sink: &Sink) -> Result<Self, Error> {
        let mut subscription = Self { connect: connect.clone(), ids: Vec::new() };
        subscription.add(sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, on_lifecycle as *const (), sink)?;
        subscription.add(sys::VIR_DOMAIN_EVENT_ID_REBOOT, on_reboot as *const (), sink)?;
        // Only drivers with jobs know this one (test:/// does not).
        if let Err(error) = subscription.add(sys::VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, on_job as *const (), sink) {
            tracing::debug!(%error, "no job events from this hypervisor");
        }
        let opaque = Box::into_raw(Box::new(Arc::clone(sink))).cast::<c_void>();
        // SAFETY: `opaque` is a leaked box of a Sink; libvirt hands it back to `on_close` and at
        // last to `free_sink`; if registration fails it is still ours to free.
        unsafe {
            let code = sys::virConnectRegisterCloseCallback(connect.as_ptr(), Some(on_close), opaque, Some(free_sink));
            check(code).inspect_err(|_| free_sink(opaque))?;
        }
        Ok(subscription)
    }

    fn add(&mut self, event: u32, callback: *const (), sink: &Sink) -> Result<(), Error> {
        let opaque = Box::into_raw(Box::new(Arc::clone(sink))).cast::<c_void>();
        // SAFETY: libvirt asks for every callback under one generic type and calls it with the
        // signature that belongs to the event's number, which is the callback's own. `opaque` as above.
        unsafe {
            let callback = std::mem::transmute::<
                *const (),
                unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void),
            >(callback);
            let id = check(sys::virConnectDomainEventRegisterAny(
                self.connect.as_ptr(),
                ptr::null_mut(),
                c_int::try_from(event).unwrap_or_default(),
                Some(callback),
                opaque,
                Some(free_sink),
            ))
            .inspect_err(|_| free_sink(opaque))?;
            self.ids.push(id);
        }
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // SAFETY: the connection is ours and alive. On a dead one these fail, which harms nothing.
        unsafe {
            for id in &self.ids {
                sys::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), *id);
            }
            sys::virConnectUnregisterCloseCallback(self.connect.as_ptr(), Some(on_close));
        }
    }
}

/// # Safety
/// `opaque` is a sink leaked by [`Subscription`].
unsafe fn push(opaque: *mut c_void, raw: Raw) {
    // SAFETY: by the caller's promise; libvirt frees it only after the last callback.
    let sink = unsafe { &*opaque.cast::<Sink>() };
    sink(raw);
}

unsafe extern "C" fn free_sink(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, with what `Box::into_raw` gave.
    drop(unsafe { Box::from_raw(opaque.cast::<Sink>()) });
}

unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt lends a valid domain for the call; `opaque` is our sink.
    unsafe { push(opaque, Raw::Lifecycle { name: text(sys::virDomainGetName(domain)), event, detail }) };
    0
}

unsafe extern "C" fn on_reboot(_: sys::virConnectPtr, domain: sys::virDomainPtr, opaque: *mut c_void) {
    // SAFETY: as above.
    unsafe { push(opaque, Raw::Reboot { name: text(sys::virDomainGetName(domain)) }) };
}

unsafe extern "C" fn on_job(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    params: sys::virTypedParameterPtr,
    count: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: as above; libvirt lends `count` valid parameters for the call.
    unsafe {
        let name = text(sys::virDomainGetName(domain));
        push(opaque, Raw::JobCompleted { name, stats: read_params(params, count) });
    }
}

unsafe extern "C" fn on_close(_: sys::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    // SAFETY: as above.
    unsafe { push(opaque, Raw::Closed { reason }) };
}
