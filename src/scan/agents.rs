//! Which workloads are AI agents, and by what: the labels of the projects that run them, the model that they call, their
//! name. The same markers for everybody who wonders: docs/scan.md has the list.

use super::words;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use perpro_core::names;
use std::collections::BTreeMap;

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// Its name or image only.
    Named,
    /// It calls a model, or a project that runs agents made it.
    Marked,
    /// Somebody said so, with perpro's label.
    Declared,
}

impl Certainty {
    /// For programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Marked => "marked",
            Self::Declared => "declared",
        }
    }
}

/// Why a workload is an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) certainty: Certainty,
    pub(crate) why: String,
}

/// Labels or annotations.
pub(super) type Marks = BTreeMap<String, String>;

/// Whatever is marked under these is an agent, or a tool of one.
const PREFIXES: [&str; 7] = [
    "agents.x-k8s.io/",
    "agents.kruise.io/",
    "ate.dev/",
    "kagent.dev/",
    "openshell.ai/",
    "openshell.io/",
    "protocol.rossoctl.io/",
];
/// The same by the whole key.
const KEYS: [&str; 4] = [
    "rossoctl.io/framework",
    "security.agents.kruise.io/agent-name",
    "toolhive-name",
    "kagenti.io/framework",
];
/// The same by key and value.
const VALUES: [(&str, &[&str]); 4] = [
    ("rossoctl.io/type", &["agent", "tool"]),
    ("kagenti.io/type", &["agent", "tool"]),
    ("toolhive", &["true"]),
    (names::MANAGED_BY, &["kagent", "openshell", "toolhive"]),
];
/// API groups whose objects make agents.
const GROUPS: [&str; 6] = [
    "agents.x-k8s.io",
    "extensions.agents.x-k8s.io",
    "agents.kruise.io",
    "ate.dev",
    "kagent.dev",
    "toolhive.stacklok.dev",
];
/// Variables of those who call a model.
const MODELS: [&str; 12] = [
    "ANTHROPIC_",
    "AZURE_OPENAI_",
    "CLAUDE_CODE_",
    "DEEPSEEK_",
    "GEMINI_",
    "GROQ_",
    "LANGGRAPH_",
    "LITELLM_",
    "LLM_",
    "MISTRAL_",
    "OPENAI_",
    "OPENROUTER_",
];
/// The same by the whole name: others of their beginning are of servers.
const CALLS: [&str; 5] =
    ["LANGCHAIN_API_KEY", "LANGSMITH_API_KEY", "OLLAMA_API_BASE", "OLLAMA_BASE_URL", "OLLAMA_BASE_URLS"];
/// Those who load a model from Hugging Face have the same variables as those who call one there.
const HUGGING_FACE: [&str; 4] = ["HF_TOKEN", "HF_API_KEY", "HF_API_TOKEN", "HUGGINGFACEHUB_API_TOKEN"];
/// Resources of pods that run a model themselves, by what their names begin with.
const DEVICES: [&str; 7] = [
    "amd.com/",
    "aws.amazon.com/neuron",
    "google.com/tpu",
    "gpu.intel.com/",
    "habana.ai/",
    "huawei.com/",
    "nvidia.com/",
];

/// Label: which part of an application it is.
const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: which application.
const NAME: &str = "app.kubernetes.io/name";

/// What labels or annotations say.
pub(super) fn by_marks(marks: &Marks) -> Option<Evidence> {
    let declared = |why: String| Some(Evidence { certainty: Certainty::Declared, why });
    if marks.get(names::AGENT_LABEL).is_some_and(|v| v == "true") {
        return declared(format!("label {}", names::AGENT_LABEL));
    }
    if let Some(identity) = marks.get(names::IDENTITY_LABEL).filter(|v| !v.is_empty()) {
        return declared(format!("label {}={identity}", names::IDENTITY_LABEL));
    }
    let mark = marks.iter().find(|(key, value)| {
        let (key, value) = (key.as_str(), value.as_str());
        PREFIXES.iter().any(|p| key.starts_with(p))
            || KEYS.contains(&key)
            || VALUES.iter().any(|(k, values)| key == *k && values.contains(&value))
    });
    mark.map(|(key, value)| marked(if value.is_empty() { key.clone() } else { format!("{key}={value}") }))
}

/// What made it says.
pub(super) fn by_maker(api_version: &str, kind: &str) -> Option<Evidence> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    GROUPS.contains(&group).then(|| marked(format!("made by a {kind} of {group}")))
}

/// What its containers say, and at last its names.
pub(super) fn by_spec(
    namespace: &str,
    kind: &str,
    name: &str,
    labels: &Marks,
    spec: &PodSpec,
) -> Option<Evidence> {
    let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
    let variables =
        |c: &'_ Container| -> Vec<String> { c.env.iter().flatten().map(|e| e.name.clone()).collect() };
    let calls = |v: &String| MODELS.iter().any(|m| v.starts_with(m)) || CALLS.contains(&v.as_str());
    let loads = containers().any(runs_a_model);
    let loads_from = |v: &String| !loads && HUGGING_FACE.contains(&v.as_str());
    let all = || containers().flat_map(variables);
    if let Some(variable) = all().find(calls).or_else(|| all().find(loads_from)) {
        return Some(marked(format!("variable {variable}")));
    }
    let named = |why: String| Some(Evidence { certainty: Certainty::Named, why });
    if let Some(c) = containers().find(|c| words::protocol_in(&c.name).is_some()) {
        return named(format!("container {}", c.name));
    }
    // What runs on every node looks after nodes.
    if kind == "DaemonSet" {
        return None;
    }
    let images = || spec.containers.iter().filter_map(|c| c.image.as_deref());
    let is_agent = |image: &&str| words::is_program(image) || words::agent_in_image(image).is_some();
    if let Some(image) = images().find(is_agent) {
        return named(format!("image {image}"));
    }
    // A database that is called after the release that it belongs to.
    if images().next().is_some() && images().all(words::is_companion) {
        return None;
    }
    if words::agent_in_name(name, namespace).is_some() {
        return named("its name".to_owned());
    }
    let application = labels.get(NAME).map_or(name, String::as_str);
    let component = labels.get(COMPONENT).is_some_and(|c| c == "agent");
    (component && words::agent_in_name(&format!("{application}-agent"), namespace).is_some())
        .then(|| Evidence { certainty: Certainty::Named, why: format!("label {COMPONENT}=agent") })
}

fn marked(why: String) -> Evidence {
    Evidence { certainty: Certainty::Marked, why }
}

/// By its devices, and where it does without by its program.
fn runs_a_model(container: &Container) -> bool {
    let has_device = container.resources.iter().any(|r| {
        let mut asked = r.limits.iter().flatten().chain(r.requests.iter().flatten());
        asked.any(|(resource, _)| DEVICES.iter().any(|d| resource.starts_with(d)))
    });
    has_device || container.image.as_deref().is_some_and(words::is_model_server)
}
