//! Does an edit widen an identity? Widening needs an author who holds it all, narrowing nobody.

use crate::api::{AgentIdentitySpec, ContainerGrant, KubernetesAccess, OwnedSecret};

/// Whether `new` is `old`, or less. The closed list of what counts as less; everything else is
/// widening. The policy `perpro-author` in the chart says the same in CEL.
#[must_use]
pub fn narrows(old: &AgentIdentitySpec, new: &AgentIdentitySpec) -> bool {
    // Named in full: a new field stops the build until somebody has said what makes it less.
    let AgentIdentitySpec {
        owner,
        contacts: _,
        expires_at,
        justification,
        suspended,
        permissions,
        secrets,
        containers,
    } = new;
    *owner == old.owner
        && *justification == old.justification
        && expires_at.0 <= old.expires_at.0
        && (*suspended || !old.suspended)
        && permissions.iter().all(|p| old.permissions.contains(p))
        && secrets.iter().all(|s| old.secrets.iter().any(|o| secret_narrows(o, s)))
        && containers.iter().all(|c| old.containers.iter().any(|o| container_narrows(o, c)))
}

fn secret_narrows(old: &OwnedSecret, new: &OwnedSecret) -> bool {
    let OwnedSecret { name, rotate_by } = new;
    *name == old.name && rotate_by.0 <= old.rotate_by.0
}

fn container_narrows(old: &ContainerGrant, new: &ContainerGrant) -> bool {
    let ContainerGrant { name, images, kubernetes_access, secret_keys } = new;
    *name == old.name
        // An empty list means any image.
        && (old.images.is_empty() || !images.is_empty())
        && (old.images.is_empty() || images.iter().all(|i| old.images.contains(i)))
        && (*kubernetes_access == KubernetesAccess::None || *kubernetes_access == old.kubernetes_access)
        && secret_keys.iter().all(|k| old.secret_keys.contains(k))
}

#[cfg(test)]
mod tests {
    use super::narrows;
    use crate::api::AgentIdentitySpec;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn spec(change: impl FnOnce(&mut Value)) -> AgentIdentitySpec {
        let mut spec = json!({
            "owner": {"kind": "User", "name": "jane"}, "contacts": ["#bots"], "expiresAt": "2030-01-01T00:00:00Z",
            "justification": "Reads feedback",
            "permissions": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
                            {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}],
            "secrets": [{"name": "crm", "rotateBy": "2029-01-01T00:00:00Z"}],
            "containers": [{"name": "agent", "images": ["a/", "b/"], "kubernetesAccess": "Token",
                            "secretKeys": [{"secret": "crm", "key": "k", "env": "K"}]}, {"name": "tool"}]
        });
        change(&mut spec);
        serde_json::from_value(spec).unwrap()
    }

    #[rstest]
    #[case::nothing(|_: &mut Value| ())]
    #[case::contacts(|s: &mut Value| s["contacts"] = json!(["#others", "jane"]))]
    #[case::an_earlier_end(|s: &mut Value| s["expiresAt"] = json!("2029-12-31T00:00:00Z"))]
    #[case::suspended(|s: &mut Value| s["suspended"] = json!(true))]
    #[case::a_permission_less(|s: &mut Value| { s["permissions"].as_array_mut().unwrap().remove(0); })]
    #[case::no_secret(|s: &mut Value| s["secrets"] = json!([]))]
    #[case::an_earlier_rotation(|s: &mut Value| s["secrets"][0]["rotateBy"] = json!("2028-01-01T00:00:00Z"))]
    #[case::a_container_less(|s: &mut Value| { s["containers"].as_array_mut().unwrap().remove(0); })]
    #[case::an_image_less(|s: &mut Value| s["containers"][0]["images"] = json!(["b/"]))]
    #[case::images_at_all(|s: &mut Value| s["containers"][1]["images"] = json!(["b/"]))]
    #[case::no_token(|s: &mut Value| s["containers"][0]["kubernetesAccess"] = json!("None"))]
    #[case::no_key(|s: &mut Value| s["containers"][0]["secretKeys"] = json!([]))]
    fn less_is_narrowing(#[case] change: fn(&mut Value)) {
        assert!(narrows(&spec(|_| ()), &spec(change)));
    }

    #[rstest]
    #[case::another_owner(|s: &mut Value| s["owner"]["name"] = json!("joe"))]
    #[case::another_kind_of_owner(|s: &mut Value| s["owner"]["kind"] = json!("Group"))]
    #[case::another_reason(|s: &mut Value| s["justification"] = json!("Writes feedback"))]
    #[case::a_later_end(|s: &mut Value| s["expiresAt"] = json!("2030-01-01T00:00:01Z"))]
    #[case::another_verb(|s: &mut Value| s["permissions"][0]["verbs"] = json!(["get", "list"]))]
    #[case::one_permission_for_another(|s: &mut Value| s["permissions"][0]["resources"] = json!(["pods"]))]
    #[case::all_names(|s: &mut Value| s["permissions"][0]["resourceNames"] = json!(["one"]))]
    #[case::another_secret(|s: &mut Value| s["secrets"][0]["name"] = json!("erp"))]
    #[case::a_later_rotation(|s: &mut Value| s["secrets"][0]["rotateBy"] = json!("2029-01-01T00:00:01Z"))]
    #[case::another_container(|s: &mut Value| s["containers"][1]["name"] = json!("other"))]
    #[case::another_image(|s: &mut Value| s["containers"][0]["images"] = json!(["a/", "c/"]))]
    #[case::any_image(|s: &mut Value| s["containers"][0]["images"] = json!([]))]
    #[case::a_token(|s: &mut Value| s["containers"][1]["kubernetesAccess"] = json!("Token"))]
    #[case::a_key_under_another_name(|s: &mut Value| s["containers"][0]["secretKeys"][0]["env"] = json!("L"))]
    fn anything_else_is_widening(#[case] change: fn(&mut Value)) {
        assert!(!narrows(&spec(|_| ()), &spec(change)));
    }

    #[test]
    fn to_resume_is_widening() {
        let suspended = spec(|s| s["suspended"] = json!(true));
        assert!(!narrows(&suspended, &spec(|_| ())));
        assert!(narrows(&suspended, &suspended));
    }
}
