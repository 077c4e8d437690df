//! Image references and prefixes of them.

/// Whether `image` is one that `prefix` names: equal, or longer by a tag, digest or path part.
///
/// Both are spelled out first (`nginx` is `docker.io/library/nginx`), so that a prefix never
/// reaches another registry.
#[must_use]
pub fn matches(image: &str, prefix: &str) -> bool {
    let (image, prefix) = (spelled_out(image), spelled_out(prefix));
    let Some(rest) = image.strip_prefix(&prefix) else { return false };
    rest.is_empty() || prefix.ends_with(['/', ':', '@']) || rest.starts_with(['/', ':', '@'])
}

/// The reference with its registry, as containerd resolves it.
fn spelled_out(reference: &str) -> String {
    match reference.split_once('/') {
        // An image id, which containerd takes for any image that the node has.
        None if reference.len() == 64 && reference.bytes().all(|b| b.is_ascii_hexdigit()) => {
            reference.to_owned()
        }
        None => format!("docker.io/library/{reference}"),
        Some(("docker.io" | "index.docker.io", rest)) if !rest.contains('/') => {
            format!("docker.io/library/{rest}")
        }
        Some(("index.docker.io", rest)) => format!("docker.io/{rest}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => reference.to_owned(),
        Some(_) => format!("docker.io/{reference}"),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use rstest::rstest;

    #[rstest]
    #[case::itself("ghcr.io/acme/bot:1", "ghcr.io/acme/bot:1")]
    #[case::any_tag("ghcr.io/acme/bot:1", "ghcr.io/acme/bot")]
    #[case::digest_of_a_tag("ghcr.io/acme/bot:1@sha256:ab", "ghcr.io/acme/bot:1")]
    #[case::whole_organisation("ghcr.io/acme/bot:1", "ghcr.io/acme/")]
    #[case::docker_library("docker.io/library/python:3", "python")]
    #[case::docker_library_left_out("python:3", "docker.io/library/python")]
    #[case::docker_short("docker.io/python:3", "python:3")]
    #[case::docker_organisation("acme/bot", "docker.io/acme/")]
    #[case::own_registry("localhost:5000/x:1", "localhost:5000/")]
    fn accepts(#[case] image: &str, #[case] prefix: &str) {
        assert!(matches(image, prefix));
    }

    #[rstest]
    #[case::longer_name("ghcr.io/acme/botnet:1", "ghcr.io/acme/bot")]
    #[case::longer_tag("ghcr.io/acme/bot:12", "ghcr.io/acme/bot:1")]
    #[case::another_registry_port("ghcr.io:5000/acme/bot", "ghcr.io")]
    #[case::registry_suffix("ghcr.io.evil.com/acme/bot", "ghcr.io/")]
    #[case::image_id(
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "docker.io/library/"
    )]
    #[case::docker_is_not_any("evil.com/library/python", "python")]
    fn rejects(#[case] image: &str, #[case] prefix: &str) {
        assert!(!matches(image, prefix));
    }
}
