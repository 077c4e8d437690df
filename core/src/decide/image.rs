//! Image references and prefixes of them.

/// Whether `image` is one that `prefix` names: equal, or longer by a tag, digest or path part.
///
/// Both are spelled out first (`nginx` is `docker.io/library/nginx`), so that a prefix never
/// reaches another registry.
#[must_use]
pub fn matches(image: &str, prefix: &str) -> bool {
    let (image, prefix) = (spelled_out(image), spelled_out(prefix));
    // No reference has such a part; what made a path of it would leave the prefix.
    if image.split('/').any(|part| matches!(part, "." | "..")) {
        return false;
    }
    let Some(rest) = image.strip_prefix(&prefix) else { return false };
    rest.is_empty() || prefix.ends_with(['/', ':', '@']) || rest.starts_with(['/', ':', '@'])
}

/// The reference with its registry, as containerd resolves it.
fn spelled_out(reference: &str) -> String {
    match reference.split_once('/') {
        // The id of an image, which containerd takes for any image that the node has.
        None if is_id(reference) => reference.to_owned(),
        None => format!("docker.io/library/{reference}"),
        // All of Docker Hub: a prefix.
        Some(("docker.io" | "index.docker.io", "")) => "docker.io/".to_owned(),
        Some(("docker.io" | "index.docker.io", rest)) if !rest.contains('/') => {
            format!("docker.io/library/{rest}")
        }
        Some(("index.docker.io", rest)) => format!("docker.io/{rest}"),
        // Names have no capitals, so what has one is taken for a host (distribution/reference, `splitDockerDomain`).
        Some((host, _))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            reference.to_owned()
        }
        Some(_) => format!("docker.io/{reference}"),
    }
}

/// An id. With its algorithm a few digits are one: containerd takes them for the image whose id begins so. Alone it
/// needs all of them: to less the kubelet adds a tag.
fn is_id(reference: &str) -> bool {
    let digits = match reference.split_once(':') {
        Some(("sha256" | "sha384" | "sha512", digits)) => digits,
        None if reference.len() == 64 => reference,
        _ => return false,
    };
    digits.bytes().all(|b| b.is_ascii_hexdigit())
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
    #[case::all_of_docker("acme/bot", "docker.io/")]
    #[case::all_of_docker_library("python:3", "docker.io/")]
    #[case::tag_of_digits(
        "docker.io/library/bot:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "bot"
    )]
    #[case::tag_of_few_digits("bot:0123abcd", "bot")]
    #[case::digits_that_get_a_tag("0123abcd", "docker.io/library/")]
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
    #[case::image_id_and_its_algorithm(
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "docker.io/"
    )]
    #[case::first_digits_of_an_image_id("sha256:0123abcd", "docker.io/library/")]
    #[case::first_digits_of_an_image_id_and_a_name("sha256:0123abcd", "sha256")]
    #[case::out_of_the_path("ghcr.io/acme/../evil/bot:1", "ghcr.io/acme/")]
    #[case::host_in_capitals("EVIL/bot:1", "docker.io/")]
    #[case::docker_is_not_any("evil.com/library/python", "python")]
    fn rejects(#[case] image: &str, #[case] prefix: &str) {
        assert!(!matches(image, prefix));
    }
}
