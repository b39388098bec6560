//! A real Apache Kafka broker: one node in KRaft mode on loopback, its jars fetched by `tests/run`.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use ghostlight::clock::monotonic;

/// The user of the secure listeners, and what it proves itself with.
pub const USER: &str = "ghostlight";
pub const PASSWORD: &str = "right-password";

/// A broker, killed when dropped and when the test process ends.
pub struct Broker {
    /// None for an outside broker, named by GHOSTLIGHT_TEST_KAFKA.
    node: Option<Node>,
    address: String,
}

struct Node {
    folder: tempfile::TempDir,
    process: Child,
    secure: Option<Secure>,
}

/// Listeners that ask who is there.
pub struct Secure {
    /// TLS, and TLS that wants a certificate of the client's.
    pub tls: String,
    pub mutual_tls: String,
    /// TLS with SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and (unsigned tokens) OAUTHBEARER.
    pub sasl: String,
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Broker {
    /// A broker of the test's own; or the outside one, which nobody stops.
    pub fn start() -> Self {
        match std::env::var("GHOSTLIGHT_TEST_KAFKA") {
            Ok(address) => Self { node: None, address },
            Err(_) => Self::start_node(false),
        }
    }

    /// A broker that also has secure listeners.
    pub fn start_secure() -> Self {
        Self::start_node(true)
    }

    fn start_node(is_secure: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("kafka-").tempdir().expect("a folder for the broker");
        let ports = free_ports(5);
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut listeners = vec![("PLAINTEXT", "PLAINTEXT", ports[0]), ("CONTROLLER", "PLAINTEXT", ports[1])];
        let secure = is_secure.then(|| {
            listeners.extend([("TLS", "SSL", ports[2]), ("MUTUAL", "SSL", ports[3]), ("SASL", "SASL_SSL", ports[4])]);
            make_certificates(folder.path());
            Secure {
                tls: local(ports[2]),
                mutual_tls: local(ports[3]),
                sasl: local(ports[4]),
                ca: folder.path().join("ca.pem"),
                certificate: folder.path().join("client.pem"),
                key: folder.path().join("client.key"),
            }
        });
        let settings = settings(folder.path(), &listeners, is_secure);
        std::fs::write(folder.path().join("server.properties"), settings).expect("settings are written");
        std::fs::write(folder.path().join("log4j2.xml"), LOG4J).expect("the log's settings are written");
        format_storage(folder.path(), is_secure);
        let process = spawn(folder.path());
        let mut broker = Self { node: Some(Node { folder, process, secure }), address: local(ports[0]) };
        broker.wait_until_ready();
        broker
    }

    /// Where clients connect, without any proof.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn secure(&self) -> &Secure {
        self.node.as_ref().and_then(|node| node.secure.as_ref()).expect("a broker started by start_secure")
    }

    fn node(&mut self) -> &mut Node {
        self.node.as_mut().expect("this test stops its broker, so it needs one of its own: unset GHOSTLIGHT_TEST_KAFKA")
    }

    /// Ends the broker at once, as a crash would.
    pub fn kill(&mut self) {
        let node = self.node();
        node.process.kill().expect("the broker can be killed");
        node.process.wait().expect("the broker ends");
    }

    /// Freezes the broker (STOP), or lets it go on (CONT).
    pub fn signal(&mut self, name: &str) {
        let id = self.node().process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs").success());
    }

    /// Starts a killed broker again, with the same ports and data.
    pub fn start_again(&mut self) {
        let node = self.node();
        node.process = spawn(node.folder.path());
        self.wait_until_ready();
    }

    /// Denies the user of the secure listeners to read a `kind` (group, topic) of this name.
    pub fn deny_read(&self, kind: &str, name: &str) {
        let output = java(self.node.as_ref().expect("a broker of the test's own").folder.path())
            .args(["org.apache.kafka.tools.AclCommand", "--bootstrap-server", &self.address, "--add"])
            .args(["--deny-principal", &format!("User:{USER}"), "--operation", "READ", &format!("--{kind}"), name])
            .output()
            .expect("java runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn wait_until_ready(&mut self) {
        let address = self.address.clone();
        let node = self.node();
        let log = node.folder.path().join("broker.log");
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        let began = monotonic();
        while began.elapsed() < Duration::from_secs(90) {
            if read().contains("Kafka Server started") && TcpStream::connect(&address).is_ok() {
                return;
            }
            if let Some(status) = node.process.try_wait().expect("can be asked") {
                panic!("the broker ended ({status}): {}", tail(&read()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the broker is not ready after 90 s: {}", tail(&read()));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Ports that nothing listens on, each given out once by this process; another process begins elsewhere.
///
/// They lie below those that Linux gives to outgoing connections (32768 and up): while a broker is down, a client that
/// tries to reach it could otherwise be given the broker's own port, connect to itself, and keep the broker out.
fn free_ports(count: usize) -> Vec<u16> {
    const FIRST: u16 = 20_000;
    const EACH: u16 = 400;
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let begin = FIRST + (std::process::id() % 30) as u16 * EACH;
    let ports = std::iter::from_fn(|| Some(begin + GIVEN.fetch_add(1, Ordering::Relaxed) % EACH));
    ports.take(usize::from(EACH)).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).take(count).collect()
}

const LOG4J: &str = r#"<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d{HH:mm:ss.SSS} %p %m%n"/>
</Console></Appenders><Loggers><Root level="info"><AppenderRef ref="out"/></Root></Loggers></Configuration>"#;

fn settings(folder: &Path, listeners: &[(&str, &str, u16)], is_secure: bool) -> String {
    let all = |join: fn(&(&str, &str, u16)) -> String| listeners.iter().map(join).collect::<Vec<_>>().join(",");
    let clients: Vec<_> = listeners.iter().filter(|listener| listener.0 != "CONTROLLER").collect();
    let advertised: Vec<_> = clients.iter().map(|(name, _, port)| format!("{name}://127.0.0.1:{port}")).collect();
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners={listeners}\nadvertised.listeners={advertised}\nlistener.security.protocol.map={protocols}\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\nlog.dirs={folder}/data\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=2\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\nauto.create.topics.enable=false\nmessage.max.bytes=2000000\n\
         log.retention.check.interval.ms=500\nlog.initial.task.delay.ms=500\nlog.segment.delete.delay.ms=100\n\
         num.network.threads=2\nnum.io.threads=4\n",
        controller = listeners[1].2,
        listeners = all(|(name, _, port)| format!("{name}://127.0.0.1:{port}")),
        advertised = advertised.join(","),
        protocols = all(|(name, protocol, _)| format!("{name}:{protocol}")),
        folder = folder.display(),
    );
    if is_secure {
        let store =
            |name: &str| std::fs::read_to_string(folder.join(name)).expect("a certificate").replace('\n', "\\n");
        let login = "org.apache.kafka.common.security";
        text += &format!(
            "ssl.keystore.type=PEM\nssl.keystore.certificate.chain={chain}\nssl.keystore.key={key}\n\
             ssl.truststore.type=PEM\nssl.truststore.certificates={ca}\nlistener.name.mutual.ssl.client.auth=required\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
             listener.name.sasl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";\n\
             listener.name.sasl.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;\n\
             listener.name.sasl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;\n\
             listener.name.sasl.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required;\n\
             listener.name.sasl.oauthbearer.sasl.server.callback.handler.class=\
             {login}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             allow.everyone.if.no.acl.found=true\nsuper.users=User:ANONYMOUS\n",
            chain = store("server.pem"),
            key = store("server.key"),
            ca = store("ca.pem"),
        );
    }
    text
}

fn java(folder: &Path) -> Command {
    let libs = std::env::var_os("GHOSTLIGHT_TEST_KAFKA_LIBS")
        .expect("GHOSTLIGHT_TEST_KAFKA_LIBS is not set: run these tests by ./tests/run, which fetches Kafka");
    let mut classes = libs;
    classes.push("/*");
    let mut command = dies_with_us("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg(format!("-Dlog4j2.configurationFile={}", folder.join("log4j2.xml").display()));
    command.arg("-cp").arg(classes);
    command
}

/// A child that ends with this process, also if that is killed.
fn dies_with_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

fn format_storage(folder: &Path, is_secure: bool) {
    let mut command = java(folder);
    command.args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster_id(), "--config"]);
    command.arg(folder.join("server.properties"));
    if is_secure {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            command.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
        }
    }
    let output = command.output().expect("java runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Another cluster every time: 16 random bytes in base64url, as Kafka writes ids. The version and variant of the UUID they
/// are made from end the text in one of a few letters, which is all that its form asks for.
fn cluster_id() -> String {
    let uuid = uuid::Uuid::new_v4();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut id: String =
        uuid.as_bytes().iter().map(|byte| char::from(letters[*byte as usize % letters.len()])).collect();
    id.push_str("AAAAAA");
    id
}

fn spawn(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("broker.log")).expect("a log");
    let errors = log.try_clone().expect("a log");
    java(folder)
        .args(["kafka.Kafka"])
        .arg(folder.join("server.properties"))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("java starts")
}

/// A certificate authority, a server's and a client's certificate, in PEM.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=test-ca",
    ]);
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").expect("names are written");
    for name in ["server", "client"] {
        let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let subject = if name == "client" { format!("/CN={USER}") } else { "/CN=localhost".to_owned() };
        openssl(&["req", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &request, "-subj", &subject]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            &certificate,
            "-days",
            "2",
            "-extfile",
            "names",
        ]);
    }
}
