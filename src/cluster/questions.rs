//! What the API server is asked about others: SubjectAccessReviews. They change nothing.

use super::Cluster;
use futures::StreamExt;
use futures::TryStreamExt;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use perpro_core::decide::grant::Question;
use perpro_core::model::{Author, Permission};
use std::collections::BTreeMap;

/// Reviews at once: an identity has up to 232, and other people wait for the API server too.
const AT_ONCE: usize = 16;

/// A user whose permissions are asked about (authentication.k8s.io/v1 `UserInfo`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    /// User name.
    pub(crate) user: String,
    /// UID, where the authenticator gives one.
    pub(crate) uid: Option<String>,
    /// Groups.
    pub(crate) groups: Vec<String>,
    /// What else the authenticator says; some authorizers decide on it.
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

impl From<&Author> for Subject {
    fn from(author: &Author) -> Self {
        Self { user: author.user.clone(), groups: author.groups.clone(), ..Self::default() }
    }
}

impl Cluster {
    /// Those of `questions` that the API server says no to.
    pub(crate) async fn denied(
        &self,
        subject: &Subject,
        namespace: &str,
        questions: Vec<Question>,
    ) -> kube::Result<Vec<Question>> {
        let answers = questions.into_iter().map(async |question| {
            let allowed = self.may(subject, namespace, &question.permission).await?;
            Ok((!allowed).then_some(question))
        });
        futures::stream::iter(answers)
            .buffered(AT_ONCE)
            .try_filter_map(async |denied| Ok(denied))
            .try_collect()
            .await
    }

    async fn may(&self, subject: &Subject, namespace: &str, permission: &Permission) -> kube::Result<bool> {
        let Permission { group, resource, name, verb } = permission;
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (resource.as_str(), None),
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(subject.user.clone()),
                uid: subject.uid.clone(),
                groups: Some(subject.groups.clone()),
                extra: Some(subject.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(namespace.to_owned()),
                    group: Some(group.clone()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    name: name.clone(),
                    verb: Some(verb.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews = Api::<SubjectAccessReview>::all(self.client());
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|s| s.allowed && s.denied != Some(true)))
    }
}
