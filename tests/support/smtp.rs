//! A mail server on this machine, by RFC 5321, 3207 (STARTTLS) and 4954 (AUTH PLAIN and LOGIN). It is strict: commands out of
//! order get 503, a login in the clear where TLS is offered gets 538.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Security {
    None,
    StartTls,
    Tls,
}

/// A mail as it was taken.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    pub from: String,
    pub to: Vec<String>,
    pub login: Option<(String, String)>,
    pub encrypted: bool,
    /// Header and body as they are meant: without the dots that the protocol adds.
    pub data: String,
}

#[derive(Clone)]
pub struct SmtpServer {
    pub address: SocketAddr,
    /// PEM of the certificate's authority.
    pub ca: String,
    state: Arc<State>,
}

struct State {
    security: Security,
    acceptor: TlsAcceptor,
    login: Option<(String, String)>,
    mechanisms: &'static str,
    /// What the next mails are answered at RCPT TO; then 250.
    answers: Mutex<VecDeque<&'static str>>,
    taken: Mutex<Vec<Taken>>,
    connections: Mutex<usize>,
}

/// Whether the connection goes on in the clear.
enum Next {
    Over,
    StartTls,
}

impl SmtpServer {
    pub async fn start(
        security: Security,
        login: Option<(&str, &str)>,
        mechanisms: &'static str,
        answers: &[&'static str],
    ) -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key");
        let config =
            ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions of TLS")
                .with_no_client_auth()
                .with_single_cert(vec![key.cert.der().clone()], private)
                .expect("a certificate and its key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let state = State {
            security,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
            mechanisms,
            answers: Mutex::new(answers.iter().copied().collect()),
            taken: Mutex::default(),
            connections: Mutex::default(),
        };
        let server =
            Self { address: listener.local_addr().expect("an address"), ca: key.cert.pem(), state: Arc::new(state) };
        let state = Arc::clone(&server.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *state.connections.lock().expect("not poisoned") += 1;
                let state = Arc::clone(&state);
                // A client that goes away in the middle is the test's matter.
                tokio::spawn(async move { state.serve(stream).await });
            }
        });
        server
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.state.taken.lock().expect("not poisoned").clone()
    }

    pub fn connections(&self) -> usize {
        *self.state.connections.lock().expect("not poisoned")
    }
}

impl State {
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        match self.security {
            Security::Tls => {
                self.speak(&mut self.acceptor.accept(stream).await?, true, true).await?;
            }
            Security::None | Security::StartTls => {
                if let Next::StartTls = self.speak(&mut stream, false, true).await? {
                    self.speak(&mut self.acceptor.accept(stream).await?, true, false).await?;
                }
            }
        }
        Ok(())
    }

    async fn speak<S>(&self, stream: &mut S, encrypted: bool, greets: bool) -> std::io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufReader::new(stream);
        if greets {
            tell(&mut stream, "220 mail.test ESMTP").await?;
        }
        let offers_tls = self.security == Security::StartTls && !encrypted;
        let (mut greeted, mut mail) = (false, None::<Taken>);
        let mut login = None;
        loop {
            let Some(line) = read_line(&mut stream).await? else { return Ok(Next::Over) };
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    greeted = true;
                    let mut answer = "250-mail.test\r\n".to_owned();
                    if offers_tls {
                        answer += "250-STARTTLS\r\n";
                    } else if self.login.is_some() {
                        answer += &format!("250-AUTH {}\r\n", self.mechanisms);
                    }
                    tell(&mut stream, &format!("{answer}250 8BITMIME")).await?;
                }
                "STARTTLS" if offers_tls && greeted => {
                    tell(&mut stream, "220 go ahead").await?;
                    assert!(stream.buffer().is_empty(), "nothing is said before TLS stands");
                    return Ok(Next::StartTls);
                }
                "AUTH" if offers_tls => tell(&mut stream, "538 encrypt first").await?,
                "AUTH" if greeted => {
                    let given = self.read_login(&mut stream, rest).await?;
                    if given.is_some() && given == self.login {
                        login = given;
                        tell(&mut stream, "235 welcome").await?;
                    } else {
                        tell(&mut stream, &format!("535 no: {given:?}")).await?;
                    }
                }
                "MAIL" if offers_tls => tell(&mut stream, "530 encrypt first").await?,
                "MAIL" if self.login.is_some() && login.is_none() => tell(&mut stream, "530 log in first").await?,
                "MAIL" if greeted && mail.is_none() => {
                    let from = address(rest, "FROM:");
                    mail = Some(Taken { from, encrypted, login: login.clone(), ..Taken::default() });
                    tell(&mut stream, "250 ok").await?;
                }
                "RCPT" if mail.is_some() => {
                    let answer = self.answers.lock().expect("not poisoned").pop_front().unwrap_or("250 ok");
                    if let (true, Some(mail)) = (answer.starts_with("250"), &mut mail) {
                        mail.to.push(address(rest, "TO:"));
                    }
                    tell(&mut stream, answer).await?;
                }
                "DATA" if mail.as_ref().is_some_and(|mail| !mail.to.is_empty()) => {
                    tell(&mut stream, "354 end with a dot").await?;
                    let data = read_data(&mut stream).await?;
                    let mail = Taken { data, ..mail.take().unwrap_or_default() };
                    self.taken.lock().expect("not poisoned").push(mail);
                    tell(&mut stream, "250 taken").await?;
                }
                "RSET" => {
                    mail = None;
                    tell(&mut stream, "250 ok").await?;
                }
                "NOOP" => tell(&mut stream, "250 ok").await?,
                "QUIT" => {
                    tell(&mut stream, "221 bye").await?;
                    return Ok(Next::Over);
                }
                "DATA" | "MAIL" | "RCPT" | "AUTH" | "STARTTLS" => tell(&mut stream, "503 not now").await?,
                _ => tell(&mut stream, "502 unknown").await?,
            }
        }
    }

    async fn read_login<S>(&self, stream: &mut S, rest: &str) -> std::io::Result<Option<(String, String)>>
    where
        S: AsyncBufReadExt + AsyncWrite + Unpin,
    {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        if !self.mechanisms.split(' ').any(|known| known == mechanism) {
            return Ok(None);
        }
        let mut ask = async |prompt: &str| {
            tell(stream, &format!("334 {prompt}")).await?;
            Ok::<_, std::io::Error>(read_line(stream).await?.unwrap_or_default())
        };
        if mechanism == "PLAIN" {
            let given = if initial.is_empty() { ask("").await? } else { initial.to_owned() };
            let given = decoded(&given);
            let mut parts = given.split('\0').skip(1);
            return Ok(parts.next().zip(parts.next()).map(|(user, password)| (user.to_owned(), password.to_owned())));
        }
        // `Username:` and `Password:`.
        let user = ask("VXNlcm5hbWU6").await?;
        let password = ask("UGFzc3dvcmQ6").await?;
        Ok(Some((decoded(&user), decoded(&password))))
    }
}

async fn tell<S: AsyncWrite + Unpin>(stream: &mut S, answer: &str) -> std::io::Result<()> {
    stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    stream.flush().await
}

async fn read_line<S: AsyncBufReadExt + Unpin>(stream: &mut S) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    assert!(line.ends_with("\r\n"), "a line ends in CR LF: {line:?}");
    line.truncate(line.len() - 2);
    Ok(Some(line))
}

async fn read_data<S: AsyncBufReadExt + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut data = String::new();
    while let Some(line) = read_line(stream).await? {
        if line == "." {
            return Ok(data);
        }
        assert!(line.len() <= 998, "a line has at most 998 bytes");
        data += line.strip_prefix('.').unwrap_or(&line);
        data += "\r\n";
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

fn address(rest: &str, before: &str) -> String {
    let rest = rest.strip_prefix(before).unwrap_or_else(|| panic!("{before}: {rest}"));
    let end = rest.find('>').expect("an address in brackets");
    rest[..end].trim_start_matches('<').to_owned()
}

/// Base64 (RFC 4648).
pub fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|byte| !matches!(byte, b'=' | b'\r' | b'\n')) {
        let value = ALPHABET.iter().position(|known| *known == byte).unwrap_or_else(|| panic!("{text:?} is Base64"));
        bits = bits << 6 | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    out
}

fn decoded(text: &str) -> String {
    String::from_utf8(base64(text)).expect("UTF-8")
}

/// Quoted-printable (RFC 2045).
pub fn quoted_printable(text: &str) -> String {
    let text = text.replace("=\r\n", "");
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'=' {
            let digits: Vec<u8> = bytes.by_ref().take(2).collect();
            let digits = std::str::from_utf8(&digits).expect("two digits");
            out.push(u8::from_str_radix(digits, 16).expect("two digits"));
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).expect("UTF-8")
}
