//! What makes objects real: Deployments become server processes with pods to tell of them, Jobs are run to their end,
//! the Ingress' shares become weights of a real HAProxy.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::api::Api;

const COLOURS: [&str; 2] = ["blue", "green"];
const BALANCE: &str = "haproxy-ingress.github.io/blue-green-balance";

/// How a pod's container is run.
pub(super) struct Node {
    pub(super) api: Arc<Api>,
    /// Image → program.
    pub(super) images: BTreeMap<String, PathBuf>,
    pub(super) environment: Vec<(String, String)>,
    /// Every pod listens on it, each at an address of its own.
    pub(super) port: u16,
    pub(super) folder: PathBuf,
}

struct Pod {
    name: String,
    colour: &'static str,
    image: String,
    address: String,
    child: Option<Child>,
    restarts: u32,
    again_at: Instant,
    is_ready: bool,
    ends: Option<Instant>,
}

/// The address of a colour's nth pod.
pub(super) fn address(colour: &str, nth: usize) -> String {
    let net = if colour == "blue" { 1 } else { 2 };
    format!("127.0.{net}.{}", nth + 1)
}

impl Node {
    /// Works until the process ends or `stop` does.
    pub(super) fn work(mut self, stop: std::sync::mpsc::Receiver<BTreeMap<String, PathBuf>>) {
        let mut pods: Vec<Pod> = Vec::new();
        let mut made = 0;
        loop {
            match stop.recv_timeout(Duration::from_millis(40)) {
                Ok(images) => self.images.extend(images),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
            for colour in COLOURS {
                self.reconcile(colour, &mut pods, &mut made);
            }
            for pod in &mut pods {
                self.tend(pod);
            }
            pods.retain(|pod| {
                let is_gone = pod.ends.is_some() && pod.child.is_none();
                if is_gone {
                    let key = format!("pods/{}", pod.name);
                    self.api.objects.lock().unwrap().remove(&key);
                }
                !is_gone
            });
            for colour in COLOURS {
                self.tell(colour, &pods);
            }
            self.jobs();
        }
        for pod in &mut pods {
            if let Some(child) = &mut pod.child {
                let _gone = child.kill();
                let _status = child.wait();
            }
        }
    }

    fn object(&self, key: &str) -> Option<Value> {
        self.api.objects.lock().unwrap().get(key).cloned()
    }

    fn reconcile(&self, colour: &'static str, pods: &mut Vec<Pod>, made: &mut usize) {
        let deployment = self
            .object(&format!("deployments/security-hub-{colour}"))
            .unwrap();
        let wanted = usize::try_from(deployment["spec"]["replicas"].as_u64().unwrap()).unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let image = container["image"].as_str().unwrap();
        let mine = pods
            .iter_mut()
            .filter(|pod| pod.colour == colour && pod.ends.is_none());
        for (nth, pod) in mine.enumerate() {
            if nth >= wanted || pod.image != image {
                pod.ends = Some(Instant::now() + Duration::from_secs(30));
                if let Some(child) = &pod.child {
                    let _gone = kill(
                        Pid::from_raw(i32::try_from(child.id()).unwrap()),
                        Signal::SIGTERM,
                    );
                }
            }
        }
        // Its addresses are few: the next come when the last have gone.
        if pods
            .iter()
            .any(|pod| pod.colour == colour && pod.ends.is_some())
        {
            return;
        }
        for nth in pods.iter().filter(|pod| pod.colour == colour).count()..wanted {
            *made += 1;
            pods.push(Pod {
                name: format!("security-hub-{colour}-{made}"),
                colour,
                image: image.to_owned(),
                address: address(colour, nth),
                child: None,
                restarts: 0,
                again_at: Instant::now(),
                is_ready: false,
                ends: None,
            });
        }
    }

    fn run(&self, image: &str, arguments: &[&str], log: &str) -> Option<Child> {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder.join(log))
            .unwrap();
        Command::new(self.images.get(image)?)
            .args(arguments)
            .env_clear()
            .envs(self.environment.clone())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .ok()
    }

    fn tend(&self, pod: &mut Pod) {
        // What a test does to it: `crashes`, or its machine is slow to start it.
        if let Some(fault) = self.object(&format!("faults/{}", pod.name)) {
            pod.again_at = Instant::now() + Duration::from_secs(1);
            if fault == "crashes" {
                pod.restarts = pod.restarts.max(2);
                if let Some(child) = &mut pod.child {
                    let _gone = child.kill();
                }
            }
        }
        if let Some(child) = &mut pod.child
            && child.try_wait().unwrap().is_some()
        {
            pod.child = None;
            pod.is_ready = false;
            if pod.ends.is_none() {
                pod.restarts += 1;
                pod.again_at = Instant::now() + Duration::from_secs(u64::from(pod.restarts));
            }
        }
        if let (Some(child), Some(until)) = (&mut pod.child, pod.ends)
            && Instant::now() > until
        {
            let _gone = child.kill();
        }
        if pod.ends.is_none() && pod.child.is_none() && Instant::now() >= pod.again_at {
            let listen = format!("{}:{}", pod.address, self.port);
            let log = format!("{}.log", pod.name);
            pod.child = self.run(&pod.image, &["serve", "--listen", &listen], &log);
        }
        if pod.child.is_some() {
            pod.is_ready = asks(&format!("{}:{}", pod.address, self.port));
        }
        let key = format!("pods/{}", pod.name);
        let told = self.describe(pod);
        self.api.objects.lock().unwrap().insert(key, told);
    }

    fn describe(&self, pod: &Pod) -> Value {
        let state = match (&pod.child, pod.restarts) {
            (Some(_), _) => json!({"running": {}}),
            (None, 0 | 1) => json!({"waiting": {"reason": "ContainerCreating"}}),
            (None, _) => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        };
        let mut object = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {
                "name": pod.name, "namespace": "security-hub",
                "labels": {"app.kubernetes.io/name": "security-hub", "hub.security/colour": pod.colour},
            },
            "spec": {"containers": [{
                "name": "security-hub", "image": pod.image,
                "ports": [{"name": "http", "containerPort": self.port}],
            }]},
            "status": {
                "phase": "Running", "podIP": pod.address,
                "containerStatuses": [{
                    "name": "security-hub", "image": pod.image, "imageID": "", "ready": pod.is_ready,
                    "restartCount": pod.restarts, "state": state,
                }],
            },
        });
        if pod.ends.is_some() {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        object
    }

    fn tell(&self, colour: &str, pods: &[Pod]) {
        let key = format!("deployments/security-hub-{colour}");
        // Generation and image of one moment: a change that comes now is not seen yet.
        let deployment = self.object(&key).unwrap();
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        let live = || {
            let mine = pods.iter().filter(|pod| pod.colour == colour);
            mine.filter(|pod| pod.ends.is_none())
        };
        self.api.set_status(
            &key,
            json!({
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": live().count(),
                "updatedReplicas": live().filter(|pod| *image == pod.image).count(),
                "readyReplicas": live().filter(|pod| pod.is_ready).count(),
            }),
        );
    }

    fn jobs(&self) {
        let key = "jobs/security-hub-migrate";
        let Some(job) = self.object(key) else { return };
        if job["metadata"]["deletionTimestamp"].is_string() {
            self.api.objects.lock().unwrap().remove(key);
            return;
        }
        if !job["status"].is_null() {
            return;
        }
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let arguments: Vec<&str> = container["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let child = self.run(
            container["image"].as_str().unwrap(),
            &arguments,
            "migrate.log",
        );
        let is_done = child.is_some_and(|mut child| child.wait().unwrap().success());
        self.api.set_status(key, if is_done {
            json!({"succeeded": 1})
        } else {
            json!({"failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})
        });
    }
}

/// The readiness probe.
fn asks(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let socket = address.parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&socket, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream
            .write_all(b"GET /health/ready HTTP/1.1\r\nhost: pod\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}

/// The ingress controller: a real HAProxy that follows the Ingress' annotation.
pub(super) struct Ingress {
    pub(super) child: Child,
    pub(super) url: String,
}

impl Drop for Ingress {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

pub(super) fn ingress(api: Arc<Api>, folder: &Path, bind: u16, port: u16, pods: usize) -> Ingress {
    let socket = folder.join("ingress.sock");
    let mut text = format!(
        "global\n  stats socket {} mode 600 level admin\n  no strict-limits\n\
         defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  timeout check 3s\n  retries 3\n  \
         option redispatch 1\n  retry-on conn-failure empty-response 503\n\
         frontend hub\n  bind 127.0.0.1:{bind}\n  http-request disable-l7-retry unless {{ method GET HEAD }}\n  \
         default_backend hub\nbackend hub\n  balance roundrobin\n  option httpchk GET /health/ready\n  \
         default-server check inter 300ms fall 2 rise 1 observe layer4\n",
        socket.display()
    );
    for colour in COLOURS {
        for nth in 0..pods {
            text = format!(
                "{text}  server {colour}-{nth} {}:{port} weight 0\n",
                address(colour, nth)
            );
        }
    }
    let config = folder.join("ingress.cfg");
    std::fs::write(&config, text).unwrap();
    let child = Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("haproxy is not installed: scripts/bootstrap.sh test");
    std::thread::spawn(move || {
        let mut last = String::new();
        // Ends with HAProxy: its socket is gone then.
        loop {
            std::thread::sleep(Duration::from_millis(30));
            let Some(object) = api
                .objects
                .lock()
                .unwrap()
                .get("ingresses/security-hub")
                .cloned()
            else {
                break;
            };
            let wanted = object["metadata"]["annotations"][BALANCE]
                .as_str()
                .unwrap_or("")
                .to_owned();
            if wanted != last && weigh(&socket, &wanted, pods).is_ok() {
                last = wanted;
            }
            if Arc::strong_count(&api) == 1 {
                break;
            }
        }
    });
    Ingress {
        child,
        url: format!("http://127.0.0.1:{bind}"),
    }
}

/// More first, then less: between two commands somebody has to have a weight.
fn weigh(socket: &Path, balance: &str, pods: usize) -> std::io::Result<()> {
    let share = |part: &str| -> Option<(String, u8)> {
        let (colour, percent) = part.rsplit_once('=')?;
        let (_, colour) = colour.rsplit_once('=')?;
        Some((colour.to_owned(), percent.parse().ok()?))
    };
    let mut shares: Vec<(String, u8)> = balance.split(',').filter_map(share).collect();
    shares.sort_by_key(|(_, percent)| std::cmp::Reverse(*percent));
    for (colour, percent) in shares {
        for nth in 0..pods {
            let mut stream = UnixStream::connect(socket)?;
            let command = format!("set server hub/{colour}-{nth} weight {percent}\n");
            stream.write_all(command.as_bytes())?;
            stream.read_to_string(&mut String::new())?;
        }
    }
    Ok(())
}
