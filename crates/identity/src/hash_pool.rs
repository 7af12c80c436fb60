//! Password hashing on a fixed number of threads that each own their memory, with a bounded, fair queue.
//!
//! Reusing the memory halves the cost of Argon2id; the bound keeps a flood of logins from exhausting the machine; the
//! queue takes tenants in turn, so that one tenant's flood does not starve the others.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hub_base::TenantId;
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::error::Error;

/// OWASP's Argon2id parameters: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const OUTPUT: usize = 32;

enum Work {
    Hash,
    /// Compare with this PHC string.
    Check(String),
}

enum Answer {
    Phc(String),
    Matches { matches: bool, stale: bool },
}

struct Job {
    password: Zeroizing<String>,
    work: Work,
    answer: oneshot::Sender<Answer>,
}

/// Waiting jobs. Generic so that the order can be tested without hashing.
struct Queue<J> {
    waiting: HashMap<TenantId, VecDeque<J>>,
    /// Tenants with waiting jobs, in the order in which they are next served.
    turns: VecDeque<TenantId>,
    length: usize,
    closed: bool,
}

impl<J> Queue<J> {
    fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            length: 0,
            closed: false,
        }
    }

    /// Takes a job in; false if the queue is full. A tenant with less than its share of a full queue pushes out the
    /// newest job of the one with the most, so that one tenant's flood does not shut out the others.
    fn push(&mut self, tenant: TenantId, job: J, limit: usize) -> bool {
        if self.length >= limit && !self.make_room(tenant) {
            return false;
        }
        self.length += 1;
        let jobs = self.waiting.entry(tenant).or_default();
        let first = jobs.is_empty();
        jobs.push_back(job);
        if first {
            self.turns.push_back(tenant);
        }
        true
    }

    fn make_room(&mut self, tenant: TenantId) -> bool {
        let mine = self.waiting.get(&tenant).map_or(0, VecDeque::len);
        let most = self.waiting.values_mut().max_by_key(|jobs| jobs.len());
        // More than one above mine: it keeps at least as many as I get, and never loses its last.
        let Some(most) = most.filter(|jobs| jobs.len() > mine + 1) else {
            return false;
        };
        most.pop_back();
        self.length -= 1;
        true
    }

    /// The next job, tenants in turn.
    fn pop(&mut self) -> Option<J> {
        let tenant = self.turns.pop_front()?;
        let jobs = self.waiting.get_mut(&tenant)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        self.length -= 1;
        job
    }
}

struct Shared {
    queue: Mutex<Queue<Job>>,
    arrived: Condvar,
    limit: usize,
    evaluations: AtomicU64,
}

/// The pool. Dropping the last handle ends its threads.
pub struct HashPool {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for HashPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashPool")
            .field("limit", &self.shared.limit)
            .finish_non_exhaustive()
    }
}

/// Whether a password fits, and whether its hash should be made again with today's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    pub matches: bool,
    pub stale: bool,
}

impl HashPool {
    /// `threads` threads (each owns 19 MiB), at most `limit` waiting passwords.
    ///
    /// # Errors
    /// An I/O error if a thread cannot be started.
    pub fn start(threads: usize, limit: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new()),
            arrived: Condvar::new(),
            limit,
            evaluations: AtomicU64::new(0),
        });
        for n in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("argon2-{n}"))
                .spawn(move || serve(&shared))?;
        }
        Ok(Self { shared })
    }

    /// The PHC string of a new password.
    ///
    /// # Errors
    /// [`Error::Busy`] if the queue is full.
    pub async fn hash(&self, tenant: TenantId, password: &str) -> Result<String, Error> {
        match self.submit(tenant, password, Work::Hash).await? {
            Answer::Phc(phc) => Ok(phc),
            Answer::Matches { .. } => Err(Error::Busy),
        }
    }

    /// Whether the password fits the PHC string. Costs one evaluation, also with `None` (no such account).
    ///
    /// # Errors
    /// [`Error::Busy`] if the queue is full.
    pub async fn check(
        &self,
        tenant: TenantId,
        password: &str,
        phc: Option<&str>,
    ) -> Result<Checked, Error> {
        let known = phc.is_some();
        let phc = phc.map_or_else(|| format(&[0; 16], &[0; OUTPUT]), str::to_owned);
        match self.submit(tenant, password, Work::Check(phc)).await? {
            Answer::Matches { matches, stale } => Ok(Checked {
                matches: matches && known,
                stale,
            }),
            Answer::Phc(_) => Err(Error::Busy),
        }
    }

    /// How many passwords were hashed since the start.
    pub fn evaluations(&self) -> u64 {
        self.shared.evaluations.load(Ordering::Relaxed)
    }

    /// How many passwords wait.
    pub fn waiting(&self) -> usize {
        self.shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .length
    }

    async fn submit(&self, tenant: TenantId, password: &str, work: Work) -> Result<Answer, Error> {
        let (answer, wait) = oneshot::channel();
        let job = Job {
            // One form for what different keyboards send for the same characters (NIST SP 800-63B).
            password: Zeroizing::new(password.nfc().collect()),
            work,
            answer,
        };
        {
            let mut queue = self
                .shared
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if !queue.push(tenant, job, self.shared.limit) {
                return Err(Error::Busy);
            }
        }
        self.shared.arrived.notify_one();
        wait.await.map_err(|_| Error::Busy)
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.shared.arrived.notify_all();
    }
}

fn serve(shared: &Shared) {
    let mut memory = vec![Block::default(); MEMORY_KIB as usize];
    while let Some(job) = next(shared) {
        if job.answer.is_closed() {
            // The one who asked has gone; spare the work.
            continue;
        }
        shared.evaluations.fetch_add(1, Ordering::Relaxed);
        if let Some(answer) = evaluate(&job, &mut memory) {
            // A caller that went away meanwhile needs no answer.
            let _unheard = job.answer.send(answer);
        }
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(job) = queue.pop() {
            return Some(job);
        }
        if queue.closed {
            return None;
        }
        queue = shared
            .arrived
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn evaluate(job: &Job, memory: &mut Vec<Block>) -> Option<Answer> {
    match &job.work {
        Work::Hash => {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).ok()?;
            let hash = argon2id(job.password.as_bytes(), &salt, MEMORY_KIB, PASSES, memory)?;
            Some(Answer::Phc(format(&salt, &hash)))
        }
        Work::Check(phc) => {
            let parsed = parse(phc);
            let stale = parsed
                .as_ref()
                .is_none_or(|p| p.memory != MEMORY_KIB || p.passes != PASSES);
            let parsed = parsed.unwrap_or(Parsed {
                memory: MEMORY_KIB,
                passes: PASSES,
                salt: vec![0; 16],
                hash: Vec::new(),
            });
            let (memory_kib, passes) = (parsed.memory, parsed.passes);
            let hash = argon2id(
                job.password.as_bytes(),
                &parsed.salt,
                memory_kib,
                passes,
                memory,
            )?;
            let matches = parsed.hash.as_slice().ct_eq(hash.as_slice()).into();
            Some(Answer::Matches { matches, stale })
        }
    }
}

fn argon2id(
    password: &[u8],
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
    memory: &mut Vec<Block>,
) -> Option<[u8; OUTPUT]> {
    let params = Params::new(memory_kib, passes, 1, Some(OUTPUT)).ok()?;
    if memory.len() < memory_kib as usize {
        memory.resize(memory_kib as usize, Block::default());
    }
    let mut hash = [0; OUTPUT];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut hash, memory.as_mut_slice())
        .ok()?;
    Some(hash)
}

struct Parsed {
    memory: u32,
    passes: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// The PHC string format's text of a hash.
fn format(salt: &[u8], hash: &[u8]) -> String {
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${hash}")
}

/// Reads a PHC string of Argon2id, version 19, one lane; `None` for anything else.
fn parse(phc: &str) -> Option<Parsed> {
    let mut parts = phc.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut params = parts.next()?.split(',');
    let memory: u32 = params.next()?.strip_prefix("m=")?.parse().ok()?;
    let passes: u32 = params.next()?.strip_prefix("t=")?.parse().ok()?;
    let lanes = params.next()?.strip_prefix("p=")?;
    let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let hash = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
    let sane = lanes == "1" && (8..=1_048_576).contains(&memory) && (1..=16).contains(&passes);
    (sane && parts.next().is_none() && params.next().is_none()).then_some(Parsed {
        memory,
        passes,
        salt,
        hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let pool = HashPool::start(1, 8).unwrap();
        let phc = pool
            .hash(TenantId::SYSTEM, "correct horse battery")
            .await
            .unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        let check = |password| pool.check(TenantId::SYSTEM, password, Some(&phc));
        assert_eq!(
            check("correct horse battery").await.unwrap(),
            Checked {
                matches: true,
                stale: false
            }
        );
        assert!(!check("correct horse batterz").await.unwrap().matches);
    }

    #[tokio::test]
    async fn no_account_costs_as_much_and_never_matches() {
        let pool = HashPool::start(1, 8).unwrap();
        let before = pool.evaluations();
        assert!(
            !pool
                .check(TenantId::SYSTEM, "", None)
                .await
                .unwrap()
                .matches
        );
        assert_eq!(pool.evaluations() - before, 1);
    }

    #[tokio::test]
    async fn a_hash_of_weaker_parameters_is_told_as_stale() {
        let pool = HashPool::start(1, 8).unwrap();
        let mut memory = Vec::new();
        let hash = argon2id(b"secret", &[1; 16], 64, 1, &mut memory).unwrap();
        let weak = format(&[1; 16], &hash).replace("m=19456,t=2", "m=64,t=1");
        let checked = pool
            .check(TenantId::SYSTEM, "secret", Some(&weak))
            .await
            .unwrap();
        assert_eq!(
            checked,
            Checked {
                matches: true,
                stale: true
            }
        );
    }

    fn tenant(n: u128) -> TenantId {
        TenantId::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn tenants_are_served_in_turn() {
        let mut queue = Queue::new();
        for (of, job) in [
            (1, "a1"),
            (1, "a2"),
            (1, "a3"),
            (2, "b1"),
            (3, "c1"),
            (2, "b2"),
        ] {
            assert!(queue.push(tenant(of), job, 100));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!((queue.length, queue.waiting.len()), (0, 0));
    }

    #[test]
    fn a_flood_of_one_tenant_does_not_shut_out_another() {
        let mut queue = Queue::new();
        for job in 0..8 {
            assert!(queue.push(tenant(1), job, 8));
        }
        assert!(
            !queue.push(tenant(1), 8, 8),
            "full for the one who filled it"
        );
        let others: Vec<bool> = (10..16).map(|job| queue.push(tenant(2), job, 8)).collect();
        assert_eq!(others, [true, true, true, true, false, false]);
        assert_eq!(queue.length, 8);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 10, 1, 11, 2, 12, 3, 13]);
    }

    #[tokio::test]
    async fn one_password_from_two_keyboards_is_one_password() {
        let pool = HashPool::start(1, 8).unwrap();
        let phc = pool
            .hash(TenantId::SYSTEM, "caf\u{e9} au lait")
            .await
            .unwrap();
        let checked = pool
            .check(TenantId::SYSTEM, "cafe\u{301} au lait", Some(&phc))
            .await;
        assert!(checked.unwrap().matches);
    }

    #[tokio::test]
    async fn a_damaged_hash_matches_nothing_and_costs_as_much() {
        let pool = HashPool::start(1, 8).unwrap();
        for phc in [
            "",
            "$argon2id$v=19$m=19456,t=2,p=1$",
            "$2b$12$abc",
            "$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
        ] {
            let before = pool.evaluations();
            let checked = pool.check(TenantId::SYSTEM, "", Some(phc)).await.unwrap();
            assert!(!checked.matches, "{phc}");
            assert_eq!(pool.evaluations() - before, 1);
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_instead_of_growing() {
        let pool = HashPool::start(1, 0).unwrap();
        assert!(matches!(
            pool.hash(TenantId::SYSTEM, "x").await,
            Err(Error::Busy)
        ));
    }
}
