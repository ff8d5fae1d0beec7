//! Validation of settings together: URLs, and contradictory combinations.
//!
//! Owns: the combinations, and what one setting implies for another. Does not own: single values (`values`), the forms
//! of URLs (`urls`).

use std::net::SocketAddr;

use super::{EffectiveSetting, InvalidSetting, Kind, Settings, StorageType, urls, values};

impl Settings {
    /// Settings that a program made itself, with what they imply, if those of the environment could be the same.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the first setting that is out of its range, or contradicts another.
    pub fn checked(self) -> Result<Self, InvalidSetting> {
        if let Err(error) = serde_json::to_value(&self) {
            return Err(InvalidSetting::new(format!("a path among the settings is not UTF-8: {error}")));
        }
        // URLs and secrets are shown without their secrets: `validated` looks at the URLs themselves.
        let has_range = |kind| matches!(kind, Kind::Number(..) | Kind::Path | Kind::Topics | Kind::SubjectToken);
        let is_set = |setting: &EffectiveSetting| match setting.doc.kind {
            Kind::Topics => !self.topics.is_empty(),
            _ => !setting.value.is_empty(),
        };
        for setting in self.effective().iter().filter(|setting| has_range(setting.doc.kind) && is_set(setting)) {
            values::check(setting.doc, &setting.value)?;
        }
        self.validated()
    }

    /// The same with what they imply, if they are consistent.
    pub(super) fn validated(mut self) -> Result<Self, InvalidSetting> {
        urls::check_nats(&self.nats_url)?;
        self.nats_monitor_url.as_ref().map_or(Ok(()), urls::check_monitor)?;
        self.catalog_url.as_ref().map_or(Ok(()), urls::check_catalog)?;
        self.storage_type = self.checked_storage_type()?;
        self.check_nats_login()?;
        self.check_ingest_tls()?;
        self.check_publishing()?;
        self.check_addresses()?;
        Ok(self)
    }

    /// Two services of a process cannot listen on one address. With port 0 each gets its own.
    fn check_addresses(&self) -> Result<(), InvalidSetting> {
        let of = [
            ("HTTP_ADDR", Some(self.http_addr)),
            ("INGEST_ADDR", Some(self.ingest_addr)),
            ("FLIGHT_ADDR", self.flight_addr),
            ("POSTGRES_ADDR", self.postgres_addr),
        ];
        let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
        for (name, addr) in of.into_iter().filter_map(|(name, addr)| Some((name, addr.filter(|addr| addr.port() > 0)?)))
        {
            if let Some((other, _)) = taken.iter().find(|(_, other)| *other == addr) {
                return Err(InvalidSetting::new(format!(
                    "{other} and {name} are both {addr}; give each an address of its own"
                )));
            }
            taken.push((name, addr));
        }
        Ok(())
    }

    /// Readers of Iceberg are other processes.
    fn check_publishing(&self) -> Result<(), InvalidSetting> {
        let interval = self.iceberg_publish_interval_secs;
        if interval > 0 && self.storage_type == StorageType::Memory {
            return Err(InvalidSetting::new(format!(
                "ICEBERG_PUBLISH_INTERVAL_SECS={interval} contradicts STORAGE_TYPE=memory, which no other process can read; \
                 choose another store, or leave the interval unset"
            )));
        }
        Ok(())
    }

    /// The kind of store: the URL's, with which an explicit type must agree.
    fn checked_storage_type(&self) -> Result<StorageType, InvalidSetting> {
        let kind = self.storage_type.as_str();
        let Some(url) = &self.storage_url else {
            return self.storage_type.required_url().map_or(Ok(self.storage_type), |example| {
                Err(InvalidSetting::new(format!("STORAGE_TYPE={kind} needs STORAGE_URL, for example {example}")))
            });
        };
        let named = urls::check_storage(url)?;
        if named != self.storage_type && (self.is_named("STORAGE_TYPE") || self.storage_type != StorageType::Local) {
            return Err(InvalidSetting::new(format!(
                "STORAGE_TYPE={kind} contradicts STORAGE_URL={url}; set one of them"
            )));
        }
        // With a catalog of its own place, the path would have no effect; the two must not name different directories.
        let is_path_idle = self.is_named("STORAGE_PATH") && self.catalog_url.is_some();
        let same_path =
            || url.expose().strip_prefix("file://").is_some_and(|path| self.storage_path.as_os_str() == path);
        if named == StorageType::Local && is_path_idle && !same_path() {
            return Err(InvalidSetting::new(format!(
                "STORAGE_PATH={} contradicts STORAGE_URL={url}; set one of them",
                self.storage_path.display()
            )));
        }
        Ok(named)
    }

    fn check_ingest_tls(&self) -> Result<(), InvalidSetting> {
        if self.ingest_tls_cert.is_some() != self.ingest_tls_key.is_some() {
            return Err(together("INGEST_TLS_CERT", "INGEST_TLS_KEY"));
        }
        Ok(())
    }

    fn check_nats_login(&self) -> Result<(), InvalidSetting> {
        if self.nats_user.is_some() != self.nats_password.is_some() {
            return Err(together("NATS_USER", "NATS_PASSWORD"));
        }
        if self.nats_client_cert.is_some() != self.nats_client_key.is_some() {
            return Err(together("NATS_CLIENT_CERT", "NATS_CLIENT_KEY"));
        }
        let ways = [
            ("NATS_CREDENTIALS", self.nats_credentials.is_some()),
            ("NATS_USER", self.nats_user.is_some()),
            ("NATS_TOKEN", self.nats_token.is_some()),
            ("NATS_NKEY", self.nats_nkey.is_some()),
            ("NATS_NKEY_FILE", self.nats_nkey_file.is_some()),
            ("the login in NATS_URL", self.nats_url.expose().contains('@')),
        ];
        let given: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if given.len() > 1 {
            let given = given.join(" and ");
            return Err(InvalidSetting::new(format!("{given} are different ways to log in; set one of them")));
        }
        Ok(())
    }
}

fn together(first: &str, second: &str) -> InvalidSetting {
    InvalidSetting::new(format!("{first} and {second} belong together; one of them is missing"))
}
