//! Two factories over one bucket and one registry: either is killed at any time, bucket and registry fail and
//! return. Is nothing lost that was acknowledged, is no byte wrong, and does the other one answer on?

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::support::fixture::NEWEST;
use crate::support::process::wait_for;
use crate::support::tools::{says, text};
use crate::support::{Answer, Bucket, Client, Config, Fixture, Registry, Server};

const SOON: Duration = Duration::from_secs(60);

/// What fails besides the factory that is killed.
const OUTAGES: [Outage; 4] = [
    Outage { bucket: false, registry: false },
    Outage { bucket: true, registry: false },
    Outage { bucket: false, registry: true },
    Outage { bucket: true, registry: true },
];

#[derive(Clone, Copy, Debug)]
struct Outage {
    bucket: bool,
    registry: bool,
}

/// Pseudo-random moments, the same in every run.
struct Moments(u64);

impl Moments {
    fn pass(&mut self, at_most: u64) {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        sleep(Duration::from_millis(self.0 % at_most));
    }
}

/// A schematic that a factory has acknowledged.
#[derive(Clone, Debug)]
struct Acknowledged {
    id: String,
    yaml: String,
}

impl Acknowledged {
    fn asset(&self) -> String {
        Server::image(&self.id, NEWEST, "metal-amd64-uki.efi")
    }

    fn tagged(&self) -> String {
        format!("/v2/installer/{}/manifests/{NEWEST}", self.id)
    }
}

/// What factories were seen to say, which none may ever say otherwise.
#[derive(Default)]
struct Said {
    assets: BTreeMap<String, String>,
    images: BTreeMap<String, String>,
}

impl Said {
    fn asset(&mut self, path: &str, sha256: String) {
        let first = self.assets.entry(path.to_owned()).or_insert_with(|| sha256.clone());
        assert_eq!(*first, sha256, "{path} has other bytes");
    }

    fn image(&mut self, path: &str, answer: &Answer) {
        let digest = answer.header("docker-content-digest").to_owned();
        let first = self.images.entry(path.to_owned()).or_insert_with(|| digest.clone());
        assert_eq!(*first, digest, "{path} is another image");
    }
}

/// Posts schematics and asks for what is made of them until the factory has ended.
fn traffic(url: &str, round: usize) -> Outcome {
    let (client, mut acknowledged, mut answers) = (Client::new(url), Vec::new(), Vec::new());
    for number in 0.. {
        let yaml = format!("customization:\n  extraKernelArgs:\n    - round={round}.{number}\n");
        let ask = |path: &str| catch_unwind(AssertUnwindSafe(|| booting(&client, path)));
        let posted = catch_unwind(AssertUnwindSafe(|| client.post("/schematics", yaml.as_str())));
        let Ok(answer) = posted else { break };
        match answer.status {
            201 => {
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                let schematic = Acknowledged { id, yaml };
                for path in [schematic.asset(), schematic.tagged()] {
                    if let Ok(answer) = ask(&path) {
                        answers.push((path, answer));
                    }
                }
                acknowledged.push(schematic);
            }
            // The place where it counts does not answer: not acknowledged, and not wanted again at once.
            503 => assert!(answer.has("retry-after"), "{}", answer.text()),
            other => panic!("{other} {}", answer.text()),
        }
        sleep(Duration::from_millis(100));
    }
    (acknowledged, answers)
}

/// What was acknowledged, and what was answered under which path.
type Outcome = (Vec<Acknowledged>, Vec<(String, Answer)>);

/// Asks as a machine that boots, which the factory itself answers.
fn booting(client: &Client, path: &str) -> Answer {
    client.ask("GET", path, &[("user-agent", "iPXE/1.21.1")])
}

struct Pair {
    config: Config,
    homes: [PathBuf; 2],
    bucket: Bucket,
    registry: Registry,
    known: Vec<Acknowledged>,
    /// Schematics that a factory was seen to have in its own store.
    seen: [HashSet<String>; 2],
    said: Said,
}

impl Pair {
    fn start(&self, which: usize) -> Server {
        Server::start(&self.config, &self.homes[which])
    }

    /// While places are down: answers are right, or say that they cannot be given now.
    fn answers_on(&mut self, which: usize, server: &Server, outage: Outage) {
        for schematic in &self.known {
            let answer = server.client.get(&format!("/schematics/{}", schematic.id));
            assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.text());
            let was_seen = self.seen[which].contains(&schematic.id);
            let must_know = was_seen || !outage.bucket;
            assert!(answer.status == 200 || !must_know, "{}: {}", schematic.id, answer.text());
        }
        let Some(schematic) = self.known.iter().rfind(|known| self.seen[which].contains(&known.id)) else {
            return;
        };
        let answer = booting(&server.client, &schematic.asset());
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.said.asset(&schematic.asset(), answer.sha256());
        let answer = server.client.get(&schematic.tagged());
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.said.image(&schematic.tagged(), &answer);
    }

    /// When all is there again: everything that was acknowledged, by whomever, is known and comes out right.
    fn has_everything(&mut self, which: usize, server: &Server) {
        for schematic in &self.known {
            wait_for("the bucket is asked again", SOON, || {
                let answer = server.client.get(&format!("/schematics/{}", schematic.id));
                assert!(
                    matches!(answer.status, 200 | 503),
                    "{} was acknowledged: {}",
                    schematic.id,
                    answer.text()
                );
                (answer.status == 200).then_some(())
            });
            self.seen[which].insert(schematic.id.clone());
        }
        let Some(last) = self.known.last() else { return };
        let sum = server.client.get(&format!("{}.sha256", last.asset())).text();
        self.said.asset(&last.asset(), sum.split(' ').next().unwrap().to_owned());
        let answer = server.client.get(&last.asset());
        let whole = match answer.status {
            302 => Client::new("").digest(answer.header("location")).0,
            200 => answer.sha256(),
            other => panic!("{other} {}", answer.text()),
        };
        self.said.asset(&last.asset(), whole);
        let answer = server.client.get(&last.tagged());
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.said.image(&last.tagged(), &answer);
    }

    fn take(&mut self, (acknowledged, answers): Outcome) {
        for (path, answer) in answers {
            match answer.status {
                200 if path.starts_with("/v2/") => self.said.image(&path, &answer),
                200 => self.said.asset(&path, answer.sha256()),
                503 => {}
                other => panic!("{path}: {other} {}", answer.text()),
            }
        }
        self.known.extend(acknowledged);
    }
}

#[test]
fn either_factory_is_killed_while_bucket_and_registry_fail() {
    let (Some(fixture), Some(bucket)) = (Fixture::find(), Bucket::start()) else { return };
    let (registry, home) = (Registry::empty(), tempfile::tempdir().unwrap());
    let config = bucket.used_by(Config::on_layouts(&fixture)).with_key(home.path());
    let config = config.with_installers(&registry);
    let homes = ["a", "b"].map(|name| home.path().join(name));
    let (known, seen, said) = (Vec::new(), Default::default(), Said::default());
    let mut pair = Pair { config, homes, bucket, registry, known, seen, said };
    let mut moments = Moments(0x2545_f491_4f6c_dd1d);
    let mut servers = [0, 1].map(|which| Some(pair.start(which)));
    // Each of the two is killed in each kind of outage.
    for (round, outage) in OUTAGES.into_iter().flat_map(|outage| [outage; 2]).enumerate() {
        let (victim, survivor) = (round % 2, 1 - round % 2);
        let mut killed = servers[victim].take().unwrap();
        let (url, before) = (killed.url.clone(), pair.known.len());
        let other = servers[survivor].as_ref().unwrap();
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| traffic(&url, round));
            moments.pass(1500);
            if outage.bucket {
                pair.bucket.stop();
            }
            if outage.registry {
                pair.registry.stop();
            }
            moments.pass(1000);
            assert!(killed.process.runs(), "it has ended by itself:\n{}", killed.process.tail());
            killed.process.kill();
            pair.answers_on(survivor, other, outage);
            pair.take(busy.join().unwrap());
        });
        println!("round {round}: {outage:?}, {} acknowledged", pair.known.len() - before);
        Server::check_blobs(&killed.store);
        if outage.bucket {
            pair.bucket.start_again();
        }
        if outage.registry {
            pair.registry.start_again();
        }
        pair.has_everything(survivor, other);
        servers[victim] = Some(pair.start(victim));
    }
    assert!(pair.known.len() >= OUTAGES.len(), "hardly anything was acknowledged: {:?}", pair.known);
    for which in [0, 1] {
        let server = servers[which].as_ref().unwrap();
        pair.has_everything(which, server);
        for schematic in &pair.known {
            assert_eq!(server.client.schematic(&schematic.yaml), schematic.id);
        }
    }
    are_what_they_say(&pair.bucket.objects("blobs"));
    are_what_they_say(&pair.registry.blobs());
}

/// Files that are called by their digest hold what has it, whoever wrote them.
fn are_what_they_say(files: &[PathBuf]) {
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let name = if name == "data" {
            file.parent().and_then(Path::file_name).unwrap().to_str().unwrap()
        } else {
            name
        };
        if name.len() == 64 {
            let sum = says("sha256sum", "coreutils", &[text(file)]);
            assert!(sum.starts_with(name), "{} is {sum}", file.display());
        }
    }
}
