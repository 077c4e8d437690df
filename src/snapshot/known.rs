//! An AgentIdentity as its watch brings it, and as a decision on a pod reads it. Parsed when a pod first asks: most
//! identities have none in a while.

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use perpro_core::api::AgentIdentity;
use perpro_core::model::Identity;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// An identity, or the metadata of one that can't be read.
#[derive(Clone, Debug)]
pub(super) struct Known {
    object: DeserializeGuard<AgentIdentity>,
    parsed: OnceLock<Option<Arc<Identity>>>,
}

impl Known {
    /// As it is stored; `None` when it can't be read.
    pub(super) fn object(&self) -> Option<&AgentIdentity> {
        self.object.0.as_ref().ok()
    }

    /// As decisions read it.
    pub(super) fn identity(&self) -> Option<Arc<Identity>> {
        let parse = || self.object().and_then(Identity::from_object).map(Arc::new);
        self.parsed.get_or_init(parse).clone()
    }

    /// The same, while nobody has seen it yet.
    pub(super) fn object_mut(&mut self) -> &mut DeserializeGuard<AgentIdentity> {
        &mut self.object
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { object: Deserialize::deserialize(deserializer)?, parsed: OnceLock::new() })
    }
}

impl Resource for Known {
    type DynamicType = ();
    type Scope = <AgentIdentity as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        AgentIdentity::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        AgentIdentity::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        AgentIdentity::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        AgentIdentity::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}
