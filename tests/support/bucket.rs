//! A real S3 server (versitygw over a directory), and nginx as a CDN in front of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::Config;
use super::fixture::versitygw;
use super::process::{Process, free_port, wait_for};

/// Name of the bucket.
const BUCKET: &str = "images";

const ACCESS: &str = "access";
const SECRET: &str = "secret-of-the-test";

/// A running S3 server with one empty bucket.
pub struct Bucket {
    /// `host:port`.
    pub address: String,
    program: PathBuf,
    process: Process,
    home: TempDir,
}

impl Bucket {
    /// Starts one; `None` when the server is not to be had, which is told.
    pub fn start() -> Option<Self> {
        let program = versitygw()?;
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        fs::create_dir_all(home.path().join("data").join(BUCKET)).expect("a bucket");
        let address = format!("127.0.0.1:{}", free_port());
        let process = start(&program, &address, home.path());
        Some(Self { address, program, process, home })
    }

    /// Ends it. It may be started again.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address.
    pub fn start_again(&mut self) {
        self.process = start(&self.program, &self.address, self.home.path());
    }

    /// A factory that keeps things in it.
    pub fn used_by(&self, config: Config) -> Config {
        used_at(&self.address, config)
    }

    /// The files of the objects whose names begin so.
    pub fn objects(&self, prefix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.home.path().join("data").join(BUCKET).join(prefix), &mut found);
        found.sort();
        found
    }
}

fn used_at(address: &str, config: Config) -> Config {
    let mut config = config
        .set("cache.s3.enabled", true)
        .set("cache.s3.bucket", BUCKET)
        .set("cache.s3.endpoint", address)
        .set("cache.s3.insecure", true);
    for (name, value) in [("AWS_ACCESS_KEY_ID", ACCESS), ("AWS_SECRET_ACCESS_KEY", SECRET)] {
        config.environment.push((name.to_owned(), value.to_owned()));
    }
    config
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// Writes over an object as a client of the server does: with an entity tag of its own, or with none.
pub fn replace(object: &Path, bytes: &[u8]) {
    fs::remove_file(object).expect("an object");
    fs::write(object, bytes).expect("an object");
}

fn start(program: &Path, address: &str, home: &Path) -> Process {
    let mut command = Command::new(program);
    command.args(["--access", ACCESS, "--secret", SECRET, "--port", address, "--quiet", "posix"]);
    command.arg(home.join("data"));
    let mut process = Process::start("versitygw", "hack/get-versitygw", &mut command, &home.join("gw.log"));
    wait_for("the bucket answers", Duration::from_secs(20), || {
        assert!(process.runs(), "versitygw has ended:\n{}", process.tail());
        std::net::TcpStream::connect(address).ok()
    });
    process
}

/// nginx in front of a bucket, as a CDN.
pub struct Cdn {
    /// `host:port`.
    pub address: String,
    nginx: Nginx,
}

impl Cdn {
    /// Starts one.
    pub fn before(bucket: &Bucket) -> Self {
        let nginx = Nginx::start(&format!(
            "proxy_pass http://{origin}/{BUCKET}/;\n   proxy_set_header Host {origin};\n   proxy_cache cdn; \
             proxy_cache_valid 200 1m; proxy_cache_key $uri;\n   add_header X-Cdn $upstream_cache_status;\n",
            origin = bucket.address
        ));
        Self { address: nginx.address.clone(), nginx }
    }

    /// Sends clients through it.
    pub fn used_by(&self, config: Config) -> Config {
        config
            .set("cache.cdn.enabled", true)
            .set("cache.cdn.host", self.address.as_str())
            .set("cache.cdn.trimPrefix", format!("/{BUCKET}"))
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.nginx.process.runs()
    }
}

/// A bucket seen through a server that, as some S3 servers, knows nothing of conditional writes.
pub struct Unconditional(Nginx);

impl Unconditional {
    /// Starts one.
    pub fn before(bucket: &Bucket) -> Self {
        Self(Nginx::start(&format!(
            "if ($http_if_none_match) {{ return 501; }}\n   client_max_body_size 0;\n   proxy_pass http://{};\n   \
             proxy_set_header Host $http_host;\n",
            bucket.address
        )))
    }

    /// A factory that keeps things in it.
    pub fn used_by(&self, config: Config) -> Config {
        used_at(&self.0.address, config)
    }
}

/// A running nginx.
struct Nginx {
    address: String,
    process: Process,
    _home: TempDir,
}

impl Nginx {
    /// One that does this with every request.
    fn start(location: &str) -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let address = format!("127.0.0.1:{}", free_port());
        let at = home.path().display();
        let config = format!(
            "daemon off; pid {at}/pid; error_log stderr;\nevents {{}}\nhttp {{\n access_log {at}/access.log;\n \
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n \
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n proxy_cache_path {at}/cache keys_zone=cdn:1m;\n \
             server {{\n  listen {address};\n  location / {{\n   {location}  }}\n }}\n}}\n"
        );
        let file = home.path().join("nginx.conf");
        fs::write(&file, config).expect("a configuration");
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(home.path()).arg("-c").arg(&file);
        let mut process =
            Process::start("nginx", "Debian's nginx", &mut command, &home.path().join("nginx.log"));
        wait_for("nginx listens", Duration::from_secs(20), || {
            assert!(process.runs(), "nginx has ended:\n{}", process.tail());
            std::net::TcpStream::connect(&address).ok()
        });
        Self { address, process, _home: home }
    }
}
