//! A mail over SMTP, as text and as HTML, encrypted unless the server is this machine.
//!
//! After RFC 5321 and 5322, and RFC 3834 for `Auto-Submitted`, so that nobody's absence note answers. The messages of one
//! episode refer to one `Message-ID` that no message has, which is enough for mail programs to show them as one thread; a
//! repeated page has a `Message-ID` of its own, since servers drop what they have seen.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mime, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls as Encryption, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport, Tokio1Executor};
use xxhash_rust::xxh3::xxh3_64;

use super::super::Alert;
use super::{Failure, http, text};
use crate::config::Secret;
use crate::event::EventTime;

// Ours: a mail can be long, but somebody reads it.
const SUBJECT_MAX: usize = 200;
const TEXT_MAX: usize = 4000;
const EVIDENCE_MAX: usize = 50;
const VALUE_MAX: usize = 1000;

#[derive(Debug, Clone)]
pub struct Email {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// Trusted beside the system's certificates.
    pub ca: Option<Certificate>,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
    /// User and password.
    pub login: Option<(String, Secret)>,
}

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// After a greeting in the clear; without it nothing is sent.
    StartTls,
    /// From the first byte.
    Tls,
    None,
}

/// A mail before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
    pub subject: String,
    pub date: EventTime,
    /// The same each time the same page is sent.
    pub message_id: String,
    /// The same in an episode.
    pub thread: String,
    pub text: String,
    pub html: String,
}

impl Email {
    pub fn render(&self, alert: &Alert, link: Option<&str>, now: EventTime) -> Mail {
        let id = xxh3_64(alert.id.as_bytes());
        let (sequence, at, domain) = (alert.sequence, alert.at.ms(), self.from.email.domain());
        Mail {
            from: self.from.clone(),
            to: self.to.clone(),
            subject: text::headline(alert, SUBJECT_MAX),
            date: now,
            message_id: format!("<ghostlight.{id:016x}.{sequence}.{at}@{domain}>"),
            // A page and its resolution are neighbours: even, then odd.
            thread: format!("<ghostlight.{id:016x}.{}@{domain}>", sequence & !1),
            text: plain(alert, link),
            html: html(alert, link),
        }
    }

    pub(super) async fn send(&self, mail: &Mail) -> Result<(), Failure> {
        let mime = mail.encode().map_err(|error| Failure::lasting(format!("the mail cannot be written: {error}")))?;
        let transport = self.transport().map_err(|error| Failure::lasting(format!("TLS: {error}")))?;
        transport.send(mime).await.map(drop).map_err(|error| self.failure(&error))
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, SmtpError> {
        let parameters = || {
            let parameters = TlsParameters::builder(self.host.clone());
            self.ca.iter().fold(parameters, |parameters, ca| parameters.add_root_certificate(ca.clone())).build()
        };
        let encryption = match self.tls {
            Tls::StartTls => Encryption::Required(parameters()?),
            Tls::Tls => Encryption::Wrapper(parameters()?),
            Tls::None => Encryption::None,
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.host.as_str());
        let mut transport = transport.port(self.port).tls(encryption);
        if let Some((user, password)) = &self.login {
            transport = transport.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(transport.build())
    }

    fn failure(&self, error: &SmtpError) -> Failure {
        let told = error.to_string();
        let secrets = self.login.iter().map(|(_, password)| password.expose());
        let secrets = secrets.fold(http::Secrets::default(), http::Secrets::with);
        let problem = match error.status().map(u16::from) {
            // What is said of a login could repeat it in another encoding.
            Some(code @ (334 | 454 | 530..=538)) => format!("answered {code}: the login was refused"),
            Some(code) => format!("answered {code}: {}", http::shown(&told, &secrets)),
            None => http::shown(&told, &secrets),
        };
        let is_final = error.is_permanent() || error.is_client();
        Failure { problem, is_final, retry_after: None }
    }
}

impl Mail {
    fn encode(&self) -> Result<Mime, lettre::error::Error> {
        let date = UNIX_EPOCH + Duration::from_millis(self.date.ms().try_into().unwrap_or_default());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut mime = Mime::builder()
            .from(self.from.clone())
            .subject(self.subject.clone())
            .date(date)
            .message_id(Some(self.message_id.clone()))
            .in_reply_to(self.thread.clone())
            .references(self.thread.clone())
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        for to in &self.to {
            mime = mime.to(to.clone());
        }
        let part = |kind, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
        let text = part(ContentType::TEXT_PLAIN, &self.text);
        mime.multipart(MultiPart::alternative().singlepart(text).singlepart(part(ContentType::TEXT_HTML, &self.html)))
    }
}

/// Names and values, those of every channel first.
fn facts(alert: &Alert) -> Vec<(String, String)> {
    let known = text::facts(alert);
    let known = known.iter().map(|(name, value)| (*name, value.as_str()));
    let evidence = alert.evidence.iter().take(EVIDENCE_MAX).map(|(name, value)| (name.as_str(), value.as_str()));
    let id = format!("{}:{}", alert.id, alert.sequence);
    let all = known.chain(evidence).chain([("Alert", id.as_str())]);
    all.map(|(name, value)| (text::line(name, VALUE_MAX), text::line(value, VALUE_MAX))).collect()
}

fn plain(alert: &Alert, link: Option<&str>) -> String {
    let mut text = format!("{}\n\n{}\n\n", text::headline(alert, TEXT_MAX), text::lines(&alert.summary, TEXT_MAX));
    if let Some(fix) = &alert.fix {
        text += &format!("What to do: {}\n\n", text::lines(fix, TEXT_MAX));
    }
    for (name, value) in facts(alert) {
        text += &format!("{name}: {value}\n");
    }
    if let Some(link) = link {
        text += &format!("\nLive page: {link}\n");
    }
    text
}

fn html(alert: &Alert, link: Option<&str>) -> String {
    let (title, summary) = (text::escaped(&text::headline(alert, TEXT_MAX)), paragraph(&alert.summary));
    let mut html = format!("<!doctype html>\n<html><body>\n<h2>{title}</h2>\n<p>{summary}</p>\n");
    if let Some(fix) = &alert.fix {
        html += &format!("<p><b>What to do:</b> {}</p>\n", paragraph(fix));
    }
    html += "<table>\n";
    for (name, value) in facts(alert) {
        html +=
            &format!("<tr><th align=\"left\">{}</th><td>{}</td></tr>\n", text::escaped(&name), text::escaped(&value));
    }
    html += "</table>\n";
    if let Some(link) = link {
        html += &format!("<p><a href=\"{}\">Live page</a></p>\n", text::escaped(link));
    }
    html + "</body></html>\n"
}

fn paragraph(text: &str) -> String {
    text::escaped(&text::lines(text, TEXT_MAX)).replace('\n', "<br>\n")
}

#[cfg(test)]
mod tests {
    use super::super::super::Status;
    use super::super::tests::alert;
    use super::*;

    fn mail(alert: &Alert) -> Mail {
        let email = Email {
            host: "mail.test".to_owned(),
            port: 587,
            tls: Tls::StartTls,
            ca: None,
            from: "ghostlight <ghostlight@acme.internal>".parse().expect("an address"),
            to: vec!["ops@acme.internal".parse().expect("an address")],
            login: None,
        };
        email.render(alert, Some("https://live.test/?a=1&b=2"), alert.at)
    }

    #[test]
    fn an_episode_is_one_thread_and_each_page_one_message() {
        let page = mail(&alert());
        let repeated = mail(&Alert { at: EventTime::from_ms(alert().at.ms() + 3_600_000), ..alert() });
        let resolved = mail(&Alert { sequence: 5, status: Status::Resolved, ..alert() });
        let next = mail(&Alert { sequence: 6, ..alert() });
        assert_eq!(page, mail(&alert()));
        assert_eq!((&page.thread, &page.thread), (&repeated.thread, &resolved.thread));
        assert_ne!(page.thread, next.thread);
        assert!(page.message_id != repeated.message_id && page.message_id != resolved.message_id);
        assert!(page.message_id.ends_with(".4.1793494800000@acme.internal>"), "{}", page.message_id);
        assert!(resolved.subject.starts_with("Resolved: billing-worker"), "{}", resolved.subject);
    }

    #[test]
    fn what_an_alert_says_is_no_markup_and_no_header() {
        let hostile = Alert {
            title: "a\r\nBcc: evil@x.test".to_owned(),
            summary: "<script>alert('x')</script>\nsecond".to_owned(),
            evidence: vec![("\"><img src=x>".to_owned(), "&amp;".to_owned())],
            ..alert()
        };
        let mail = mail(&hostile);
        assert!(!mail.html.contains("<script") && !mail.html.contains("<img"), "{}", mail.html);
        assert!(mail.html.contains("&lt;/script&gt;<br>\nsecond") && mail.html.contains("<td>&amp;amp;</td>"));
        assert!(mail.html.contains("href=\"https://live.test/?a=1&amp;b=2\""), "{}", mail.html);
        let bytes = mail.encode().expect("a mail").formatted();
        let headers = String::from_utf8(bytes).expect("ASCII");
        let headers = headers.split("\r\n\r\n").next().expect("headers");
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
    }
}
