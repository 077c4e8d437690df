//! Events: what a person sees under `kubectl describe`.

use super::{Cluster, Write};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

impl Cluster {
    /// Publishes a warning about an object. One of the same reason and action again only counts up, with the note of
    /// the first (kube's `Recorder`): so `action` is the code of what is told. An Event that can't be written is
    /// logged and lost: no decision may wait for it.
    pub(crate) async fn warn(&self, about: &ObjectReference, reason: &str, action: &str, note: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.write(Write::PublishEvent, self.recorder.publish(&event, about)).await {
            let error = super::describe(&error);
            tracing::warn!(error, namespace = about.namespace, object = about.name, "can't publish an event");
        }
    }
}
