//! Hands a mail to a server (RFC 5321). Blocks, all in all for a bounded time.

mod conversation;
mod stream;

use crate::mime::Mail;
use crate::{Error, Network, Result};
use basalt_model::notify::{MailAddress, SmtpMode};
use conversation::Conversation;
use std::time::Instant;
use stream::Stream;

/// A mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is kept secret.
    pub mode: SmtpMode,
    /// Account and password.
    pub login: Option<(String, String)>,
}

impl Server {
    /// Hands a mail over. It is done when at least one recipient gets it.
    ///
    /// # Errors
    /// When the server cannot be reached, takes too long or refuses.
    pub fn send(&self, network: &Network, mail: &Mail) -> Result<()> {
        let deadline = Instant::now() + network.mail_patience;
        let stream = Stream::connect(self, deadline, network)?;
        let mut talk = Conversation::new(format!("{}:{}", self.host, self.port), stream);
        talk.greeting()?;
        let mut offers = talk.hello(&network.host)?;
        if self.mode == SmtpMode::Starttls {
            if !offers.has("STARTTLS") {
                let reason = "it offers no STARTTLS: choose another mode";
                return Err(talk.refused(reason));
            }
            talk.ask("STARTTLS")?;
            talk.secure(&self.host, network)?;
            offers = talk.hello(&network.host)?;
        }
        if let Some((user, password)) = &self.login {
            talk.login(&offers, user, password)?;
        }
        talk.ask(&format!("MAIL FROM:<{}>", mail.from))?;
        recipients(&mut talk, &mail.to)?;
        talk.ask("DATA")?;
        talk.data(&mail.message(&network.host))?;
        talk.goodbye();
        Ok(())
    }
}

/// Names the recipients; those that the server refuses miss the mail, as long as there are others.
fn recipients(talk: &mut Conversation, to: &[MailAddress]) -> Result<()> {
    let mut refused = Vec::new();
    for address in to {
        match talk.ask(&format!("RCPT TO:<{address}>")) {
            Ok(()) => {}
            Err(error @ (Error::Refused { .. } | Error::NotNow { .. })) => {
                refused.push((address, error));
            }
            Err(other) => return Err(other),
        }
    }
    if refused.len() == to.len() {
        let none = || talk.refused("the mail is for nobody");
        return Err(refused
            .into_iter()
            .next()
            .map_or_else(none, |(_, error)| error));
    }
    for (address, error) in refused {
        tracing::warn!(%address, %error, "somebody gets no mail");
    }
    Ok(())
}
