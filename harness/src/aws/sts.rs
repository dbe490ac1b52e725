//! Who one is.

use super::{Aws, AwsError, Service};

/// Whom the keys belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account's number.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

impl Aws {
    /// Returns whom the keys belong to; needs no permission.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn caller(&self) -> Result<Caller, AwsError> {
        let xml = self.query(Service::Sts, "GetCallerIdentity", &[]).await?;
        let unreadable = |reason: String| AwsError::Unreadable {
            action: "GetCallerIdentity".to_owned(),
            reason,
        };
        let document =
            roxmltree::Document::parse(&xml).map_err(|error| unreadable(error.to_string()))?;
        let part = |name: &str| {
            let found = document
                .descendants()
                .find(|node| node.tag_name().name() == name);
            found
                .and_then(|node| node.text())
                .map(|text| text.trim().to_owned())
                .ok_or_else(|| unreadable(format!("no `{name}`")))
        };
        Ok(Caller {
            account: part("Account")?,
            arn: part("Arn")?,
        })
    }
}
