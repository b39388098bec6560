//! The settings of prices: what a report says ghosts cost.

use serde::Deserialize;

use super::ConfigError;

/// What the contract with Auth0 asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    /// ISO 4217, such as `USD`; empty where there is no price.
    pub currency: String,
    pub per_1000_m2m_tokens: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrices {
    currency: Option<String>,
    per_1000_m2m_tokens: Option<f64>,
}

const EXAMPLE: &str = "[prices]\n  currency = \"USD\"\n  per_1000_m2m_tokens = 1.5";

pub(super) fn prices(raw: RawPrices) -> Result<Prices, ConfigError> {
    let wrong = |key, problem| Err(ConfigError::Value { key, problem, example: EXAMPLE });
    match (raw.currency, raw.per_1000_m2m_tokens) {
        (None, None) => Ok(Prices::default()),
        (None, Some(_)) => wrong("prices.currency", "missing: a price is of some currency".to_owned()),
        (Some(_), None) => wrong("prices.per_1000_m2m_tokens", "missing: a currency alone is no price".to_owned()),
        (Some(code), _) if code.len() != 3 || !code.bytes().all(|letter| letter.is_ascii_uppercase()) => {
            wrong("prices.currency", format!("{code:?} is not three capital letters, as ISO 4217 has them"))
        }
        (_, Some(price)) if !(price.is_finite() && price > 0.0) => {
            wrong("prices.per_1000_m2m_tokens", format!("{price} is not more than nothing"))
        }
        (Some(currency), per_1000_m2m_tokens) => Ok(Prices { currency, per_1000_m2m_tokens }),
    }
}

impl Prices {
    pub(super) fn describe(&self) -> Vec<String> {
        let none = || "(none)".to_owned();
        let currency = if self.currency.is_empty() { none() } else { self.currency.clone() };
        vec![
            format!("prices.currency         {currency}"),
            format!(
                "prices.per_1000_m2m_tokens {}",
                self.per_1000_m2m_tokens.map_or_else(none, |price| price.to_string())
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn a_price_has_a_currency_and_errors_show_a_right_line() {
        let parse = |text: &str| Config::parse(&format!("[prices]\n{text}"), Path::new("x.toml"));
        let prices = parse("currency = \"EUR\"\nper_1000_m2m_tokens = 2").expect("right").prices;
        assert_eq!((prices.currency.as_str(), prices.per_1000_m2m_tokens), ("EUR", Some(2.0)));
        for (text, key) in [
            ("per_1000_m2m_tokens = 1", "prices.currency"),
            ("currency = \"EUR\"", "prices.per_1000_m2m_tokens"),
            ("currency = \"€\"\nper_1000_m2m_tokens = 1", "prices.currency"),
            ("currency = \"EUR\"\nper_1000_m2m_tokens = 0", "prices.per_1000_m2m_tokens"),
            ("currency = \"EUR\"\nper_1000_m2m_tokens = nan", "prices.per_1000_m2m_tokens"),
        ] {
            let error = parse(text).expect_err("not right").to_string();
            assert!(error.contains(key) && error.contains("currency = \"USD\""), "{text}: {error}");
        }
    }
}
