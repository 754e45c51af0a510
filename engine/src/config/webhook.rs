//! The keys of an account that begin with `webhook`: where its events are posted, and what posts are signed with.

use toml::de::DeValue;

use super::error::ConfigError;
use super::section::Section;
use super::value::{self, Expected, Parsed};
use crate::webhooks::limits::{SECRETS_MAX, URL_BYTES_MAX, WEBHOOKS_MAX};
use crate::webhooks::{Secret, Url, Webhook};

/// The webhook of an account; `None`: it has none. Without a URL the other keys say nothing, and are refused.
pub(super) fn webhook(section: &Section<'_>) -> Result<Option<Webhook>, ConfigError> {
    let url = section.located("webhook", url)?;
    let one = section.located("webhook_secret", secret)?;
    let what = format!("a list of 1 to {SECRETS_MAX} secrets");
    let listed = section.located("webhook_secrets", |list| value::list(list, &what, secret))?;
    let ca = section.located("webhook_ca", value::path)?;
    let lines =
        [one.as_ref().map(|one| one.line), listed.as_ref().map(|l| l.line), ca.as_ref().map(|ca| ca.line)];
    let Some(url) = url else {
        return match lines.into_iter().flatten().min() {
            None => Ok(None),
            Some(line) => {
                let expected = "a URL wherever another key of a webhook is";
                Err(section.wrong(line, "webhook", expected, "none: this account has no webhook"))
            }
        };
    };
    let line = listed.as_ref().map_or(url.line, |listed| listed.line);
    let secrets: Vec<Secret> = one
        .map(|one| one.value)
        .into_iter()
        .chain(listed.into_iter().flat_map(|listed| listed.value))
        .collect();
    if secrets.is_empty() {
        let expected =
            "webhook_secret = \"whsec_…\" beside the webhook, as `switchyard webhook-secret` prints";
        return Err(section.wrong(url.line, "webhook_secret", expected, "none"));
    }
    if secrets.len() > SECRETS_MAX {
        let found = secrets.len().to_string();
        return Err(section.wrong(line, "webhook_secrets", format!("at most {SECRETS_MAX} secrets"), found));
    }
    if let Some(ca) = ca.as_ref().filter(|_| !url.value.is_tls()) {
        let expected = "a webhook with https wherever webhook_ca is";
        return Err(section.wrong(
            ca.line,
            "webhook_ca",
            expected,
            "one with http, which shows no certificate",
        ));
    }
    Ok(Some(Webhook { url: url.value, secrets, ca: ca.map(|ca| ca.value) }))
}

/// Each webhook has a thread of its own.
pub(super) fn are_not_too_many(section: &Section<'_>, count: usize) -> Result<(), ConfigError> {
    if count <= WEBHOOKS_MAX {
        return Ok(());
    }
    let expected = format!("at most {WEBHOOKS_MAX} accounts with a webhook");
    Err(section.wrong(section.line(), "webhook", expected, "one more"))
}

fn url(text: &DeValue<'_>) -> Parsed<Url> {
    text.as_str().and_then(Url::parse).ok_or_else(|| {
        Expected(format!(
            "a URL as \"https://hooks.example.net/in\": http or https, of at most {URL_BYTES_MAX} characters of ASCII, \
             without a user and without #"
        ))
    })
}

fn secret(text: &DeValue<'_>) -> Parsed<Secret> {
    text.as_str().and_then(Secret::parse).ok_or_else(|| {
        Expected("\"whsec_\" and 24 to 64 bytes in base 64, as `switchyard webhook-secret` prints".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// A file whose account has these lines, from the fourth on.
    fn parse(lines: &str) -> Result<Config, String> {
        let text = format!(
            "[[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\n{lines}sender = \"A\"\n\
             [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n\
             [[route]]\nprefix = \"\"\ncarriers = [\"c\"]\n"
        );
        Config::parse("f", &text).map_err(|error| error.to_string())
    }

    fn complaint(lines: &str) -> String {
        parse(lines).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_webhook_has_a_url_secrets_and_those_whom_it_trusts() {
        let lines = format!(
            "webhook = \"https://x.example/in?t=1\"\nwebhook_secret = {SECRET:?}\n\
             webhook_secrets = [{SECRET:?}]\nwebhook_ca = \"ca.pem\"\n"
        );
        let webhook = parse(&lines).unwrap().accounts[0].webhook.clone().unwrap();
        assert_eq!((webhook.url.expose(), webhook.secrets.len()), ("https://x.example/in?t=1", 2));
        assert_eq!(webhook.ca.unwrap().to_str(), Some("ca.pem"));
        let config =
            parse(&format!("webhook = \"http://10.0.0.1/\"\nwebhook_secret = {SECRET:?}\n")).unwrap();
        let warnings = config.warnings();
        assert!(
            warnings.iter().any(|warning| warning.starts_with("account a: webhook without TLS")),
            "{warnings:?}"
        );
        assert_eq!(parse("").unwrap().accounts[0].webhook, None);
    }

    #[test]
    fn what_is_wrong_with_a_webhook_is_named_and_no_secret_is_repeated() {
        let url = "webhook = \"https://x.example/in\"\n";
        let secret = format!("webhook_secret = {SECRET:?}\n");
        for (lines, expected) in [
            (url.to_owned(), "f:4: account.webhook_secret: expected webhook_secret = \"whsec_…\""),
            (secret.clone(), "f:4: account.webhook: expected a URL wherever another key of a webhook is"),
            ("webhook_ca = \"x\"\n".to_owned(), "f:4: account.webhook: expected a URL"),
            (format!("webhook = \"x.example\"\n{secret}"), "f:4: account.webhook: expected a URL as"),
            (
                format!("webhook = \"https://u:hunter2@x.example/\"\n{secret}"),
                "without a user and without #, found something else (not shown",
            ),
            (
                format!("{url}webhook_secret = \"hunter2\"\n"),
                "f:5: account.webhook_secret: expected \"whsec_\" and 24 to 64 bytes in base 64",
            ),
            (
                format!("{url}webhook_secrets = [{}]\n", vec![format!("{SECRET:?}"); 5].join(", ")),
                "f:5: account.webhook_secrets: expected at most 4 secrets, found 5",
            ),
            (
                format!("webhook = \"http://x.example/in\"\n{secret}webhook_ca = \"x\"\n"),
                "f:6: account.webhook_ca: expected a webhook with https",
            ),
        ] {
            let told = complaint(&lines);
            assert!(told.contains(expected), "no {expected:?} in {told}");
            assert!(!told.contains("hunter2") && !told.contains("MfKQ"), "{told}");
        }
    }
}
