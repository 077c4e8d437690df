//! What is accused and what is not. Credentials are made up at random, so that none stands here in full: scanners of
//! repositories would stop at it, and rightly.

use super::*;
use crate::decide::pod::AgentPod;
use rstest::rstest;
use serde_json::json;

const ALPHANUMERIC: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";
const DIGITS: &str = "0123456789";
pub(super) const HEX: &str = "0123456789abcdef";
const URL_SAFE: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// So many characters of `alphabet`, the same each time.
pub(super) fn random(length: usize, alphabet: &str) -> String {
    let alphabet: Vec<_> = alphabet.chars().collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        alphabet[usize::try_from(state % alphabet.len() as u64).unwrap()]
    };
    (0..length).map(|_| next()).collect()
}

pub(super) fn an(length: usize) -> String {
    random(length, ALPHANUMERIC)
}

pub(super) fn uuid() -> String {
    let hex = random(32, HEX);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn us(length: usize) -> String {
    random(length, URL_SAFE)
}

/// A token with these claims as its header, and some signature.
fn jwt(header: &str, signature: &str) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for part in [header, r#"{"sub":"bot","exp":1}"#] {
        let mut bits = 0_u32;
        let mut held = 0;
        let sign = |value: u32| {
            char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[value as usize])
        };
        for byte in part.bytes() {
            bits = (bits << 8 | u32::from(byte)) & 0xffff;
            held += 8;
            while held >= 6 {
                held -= 6;
                write!(text, "{}", sign(bits >> held & 63)).unwrap();
            }
        }
        if held > 0 {
            write!(text, "{}", sign(bits << (6 - held) & 63)).unwrap();
        }
        text.push('.');
    }
    text + signature
}

fn pem(kind: &str, body: &str) -> String {
    format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
}

#[rstest]
#[case::openai(format!("sk-{}", an(48)), "an OpenAI key")]
#[case::openai_of_a_project(format!("sk-proj-{}", us(156)), "an OpenAI key")]
#[case::openai_of_a_service(format!("sk-svcacct-{}", us(120)), "an OpenAI key")]
#[case::like_openais(format!("sk-{}", random(32, HEX)), "an OpenAI key")]
#[case::openrouter(format!("sk-or-v1-{}", random(64, HEX)), "an OpenRouter key")]
#[case::langfuse(format!("sk-lf-{}", uuid()), "a Langfuse key")]
#[case::anthropic(format!("sk-ant-api03-{}AA", us(93)), "an Anthropic key")]
#[case::aws(format!("AKIA{}", random(16, BASE32)), "an AWS access key")]
#[case::aws_for_a_session(format!("ASIA{}", random(16, BASE32)), "an AWS access key")]
#[case::aws_secret(format!("aws_secret_access_key = {}", random(40, BASE64)), "an AWS secret key")]
#[case::aws_secret_in_a_shell(format!("export AWS_SECRET_ACCESS_KEY='{}'", random(40, BASE64)), "an AWS secret key")]
#[case::github(format!("ghp_{}", an(36)), "a GitHub token")]
#[case::github_oauth(format!("gho_{}", an(36)), "a GitHub token")]
#[case::github_app(format!("ghs_{}", an(36)), "a GitHub token")]
#[case::github_fine_grained(format!("github_pat_{}_{}", an(22), an(59)), "a GitHub token")]
#[case::google(format!("AIza{}", us(35)), "a Google API key")]
#[case::slack(format!("xoxb-{}-{}-{}", random(12, DIGITS), random(13, "9876543210"), an(24)), "a Slack token")]
#[case::slack_of_a_person(format!("xoxp-{}-{}", random(12, DIGITS), random(32, HEX)), "a Slack token")]
#[case::stripe(format!("sk_live_{}", an(24)), "a Stripe key")]
#[case::stripe_restricted(format!("rk_live_{}", an(24)), "a Stripe key")]
#[case::gitlab(format!("glpat-{}", us(20)), "a GitLab token")]
#[case::hugging_face(format!("hf_{}", an(34)), "a Hugging Face token")]
#[case::npm(format!("npm_{}", an(36)), "an npm token")]
#[case::pypi(format!("pypi-AgEI{}", us(150)), "a PyPI token")]
#[case::groq(format!("gsk_{}", an(52)), "a Groq key")]
#[case::vault(format!("hvs.{}", us(90)), "a Vault token")]
#[case::langsmith(format!("lsv2_pt_{}_{}", random(32, HEX), random(10, HEX)), "a LangSmith key")]
#[case::langsmith_of_a_service(format!("lsv2_sk_{}_{}", random(32, HEX), random(10, HEX)), "a LangSmith key")]
#[case::tavily(format!("tvly-dev-{}", an(32)), "a Tavily key")]
#[case::nvidia(format!("nvapi-{}", us(64)), "an NVIDIA key")]
#[case::perplexity(format!("pplx-{}", an(48)), "a Perplexity key")]
#[case::pinecone(format!("pcsk_{}_{}", an(6), an(63)), "a Pinecone key")]
#[case::docker_hub(format!("dckr_pat_{}", us(27)), "a Docker Hub token")]
#[case::sendgrid(format!("SG.{}.{}", us(22), us(43)), "a SendGrid key")]
#[case::slack_webhook(format!("https://hooks.slack.com/services/T0{}/B0{}/{}", random(9, BASE32), random(9, BASE32), an(24)), "a Slack webhook")]
#[case::jwt(jwt(r#"{"alg":"RS256","typ":"JWT"}"#, &us(342)), "a JSON Web Token")]
#[case::private_key(pem("PRIVATE KEY", &random(64, BASE64)), "a private key")]
#[case::private_key_of_ssh(pem("OPENSSH PRIVATE KEY", &random(64, BASE64)), "a private key")]
#[case::private_key_on_one_line(pem("EC PRIVATE KEY", &random(64, BASE64)).replace('\n', "\\n"), "a private key")]
#[case::bearer(format!("Bearer {}", an(32)), "a bearer token")]
#[case::bearer_in_a_header(format!("curl -H 'authorization: bearer {}' https://x", an(40)), "a bearer token")]
#[case::bearer_by_a_uuid(format!("Bearer {}", uuid()), "a bearer token")]
#[case::bearer_in_hex(format!("Bearer {}", random(40, HEX)), "a bearer token")]
#[case::bearer_in_small_letters(format!("Bearer {}", random(32, "abcdefghijklmnopqrstuvwxyz0123456789")), "a bearer token")]
#[case::bearer_with_dashes(format!("Bearer {}", us(64)), "a bearer token")]
#[case::bearer_in_short_parts(format!("Bearer {}", ["aB3x", "9dQ2z", "Lm4Pq", "7Rt5w"].join("-")), "a bearer token")]
#[case::basic("Basic cHJvYmU6S3Q3dnEybQ==".to_owned(), "a user's name and password")]
#[case::basic_in_a_header("curl -H 'authorization: basic YWdlbnQ6YWdlbnQ' x".to_owned(), "a user's name and password")]
#[case::database("postgres://reader:Kt7vq2m@db:5432/feedback".to_owned(), "a URL with a password")]
#[case::no_user("redis://:Kt7vq2m@cache".to_owned(), "a URL with a password")]
#[case::several_hosts("mongodb+srv://a:Kt7@x:1,y:2/db".to_owned(), "a URL with a password")]
#[case::in_a_shell(format!("set -e; export OPENAI_API_KEY=sk-{}; exec agent", an(48)), "an OpenAI key")]
#[case::as_a_flag(format!("--api-key=sk-{}", an(48)), "an OpenAI key")]
#[case::as_a_default_of_a_shell(format!("${{OPENAI_API_KEY:-sk-{}}}", an(48)), "an OpenAI key")]
#[case::in_quotes(format!("{{\"key\": \"ghp_{}\"}}", an(36)), "a GitHub token")]
#[case::after_another_word(format!("ghp_x ghp_{}", an(36)), "a GitHub token")]
fn is_accused(#[case] text: String, #[case] expected: &str) {
    let found: Vec<_> = find(&text, "").collect();
    assert_eq!(found.iter().map(|l| l.what).collect::<Vec<_>>(), [expected], "{text}");
    // What is masked is gone, and nothing else has moved.
    let masked = masked(&text);
    assert_eq!(masked.chars().count(), text.chars().count());
    assert!(!masked.contains(&text[found[0].secret.clone()]), "{masked}");
    assert_eq!(find(&masked, "").count(), 0, "{masked}");
}

#[rstest]
#[case::nothing(String::new())]
#[case::a_word("production".to_owned())]
#[case::only_a_mark("sk-".to_owned())]
#[case::short("sk-1234".to_owned())]
#[case::crossed_out(format!("sk-{}", "x".repeat(48)))]
#[case::crossed_out_large(format!("ghp_{}", "X".repeat(36)))]
#[case::of_an_example("AKIAIOSFODNN7EXAMPLE".to_owned())]
#[case::of_an_example_too("sk-your-api-key-goes-here-A1b2C3d4E5f6G7h8".to_owned())]
#[case::the_alphabet("ghp_abcdefghijklmnopqrstuvwxyz0123456789".to_owned())]
#[case::a_variable("$(OPENAI_API_KEY)".to_owned())]
#[case::a_variable_after_the_mark("sk-$(REST)".to_owned())]
#[case::bearer_of_a_variable("Authorization: Bearer $(TOKEN)".to_owned())]
#[case::bearer_of_a_shells_variable("Bearer ${A_VERY_LONG_NAME_OF_A_TOKEN_1}".to_owned())]
#[case::bearer_as_a_word("bearer authentication is what we use here".to_owned())]
#[case::bearer_that_stands_for_one("Bearer <token>".to_owned())]
#[case::a_name_of_a_model("sk-learn-text-classification-2024".to_owned())]
#[case::a_package("scikit-sk-learn-pipeline-for-feedback-v2".to_owned())]
#[case::a_task(format!("task-{}", an(48)))]
#[case::a_disk(format!("disk-{}", random(32, HEX)))]
#[case::a_digest(format!("ghcr.io/acme/a@sha256:{}", random(64, HEX)))]
#[case::an_uid("5b0e0f38-2b52-4e15-9d2c-6a6f7c0a86c1".to_owned())]
#[case::test_key_of_stripe(format!("sk_test_{}", an(24)))]
#[case::forty_letters_without_a_name(random(40, BASE64))]
#[case::a_commit(random(40, HEX))]
#[case::in_a_longer_word(format!("XAKIA{}", random(16, BASE32)))]
#[case::longer_than_a_key(format!("AKIA{}", random(30, BASE32)))]
#[case::url("https://db.example.com:5432/path?x=a:b@c".to_owned())]
#[case::url_with_a_user("https://reader@example.com/".to_owned())]
#[case::url_with_a_variable("postgres://reader:$(PASSWORD)@db/x".to_owned())]
#[case::url_of_a_shell("postgres://reader:${PASSWORD}@db/x".to_owned())]
#[case::url_of_a_template("postgres://reader:{{password}}@db/x".to_owned())]
#[case::url_of_an_example("postgres://user:changeme@db/x".to_owned())]
#[case::url_of_an_example_too("postgres://user:password@db/x".to_owned())]
#[case::url_with_a_gap("postgres://user:<password>@db/x".to_owned())]
#[case::url_with_stars("postgres://user:***@db/x".to_owned())]
#[case::url_without_a_password("redis://:@cache".to_owned())]
#[case::url_of_a_format("postgres://%s:%s@%s/x".to_owned())]
#[case::url_of_an_image(format!("docker://acme/../a:1@sha256:{}", random(64, HEX)))]
#[case::image_by_digest(format!("docker://alpine:3@sha256:{}", random(64, HEX)))]
#[case::bearer_challenge("WWW-Authenticate: Bearer realm=https://auth.acme.com/v2/token1234".to_owned())]
#[case::bearer_of_words("Authorization: Bearer token-for-demo-user-1-only".to_owned())]
#[case::bearer_of_versions("Bearer Team-Portal-v2beta-k8s-2024-Q4-preview-B2B".to_owned())]
#[case::bearer_of_a_resource("Bearer realm2-protected-resource".to_owned())]
#[case::basic_of_an_example("Basic dXNlcjpwYXNzd29yZA==".to_owned())]
#[case::basic_of_words("basic authentication and Basic understanding, basic configurations".to_owned())]
#[case::basic_challenge("WWW-Authenticate: Basic realm=\"agents\"".to_owned())]
#[case::basic_of_other_bytes(format!("Basic {}", an(32)))]
#[case::basic_of_one_name("Basic YWdlbnQ=".to_owned())]
#[case::url_to_replace("postgres://user:REPLACE_ME@db/x".to_owned())]
#[case::url_to_do("postgres://user:TODO@db/x".to_owned())]
#[case::url_in_brackets("postgres://user:[PASSWORD]@db/x".to_owned())]
#[case::url_of_a_tool("postgres://user:__DB_PASSWORD__@db/x".to_owned())]
#[case::url_of_another_tool("postgres://user:@@PASSWORD@@@db/x".to_owned())]
#[case::url_as_an_expression("grep -E 'https://[^:]+:[^@]+@' .git/config".to_owned())]
#[case::url_as_another_expression(r"sed s,https://\S+:.*@,https://,".to_owned())]
#[case::slack_webhook_of_an_example("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX".to_owned())]
#[case::tavily_of_an_example("tvly-your-api-key-from-the-dashboard-here".to_owned())]
#[case::a_class_of_java("SG.of.a.rather.long.name.in.a.package.of.Java.that.nobody.wrote.yet1".to_owned())]
#[case::a_chart_of_langfuse("sk-lf-chart-for-tracing-of-agents-in-clusters".to_owned())]
#[case::an_email("mail to reader:jane@example.com".to_owned())]
#[case::certificate(pem("CERTIFICATE", &random(64, BASE64)))]
#[case::public_key(pem("PUBLIC KEY", &random(64, BASE64)))]
#[case::a_search_for_keys("grep -q -- '-----BEGIN PRIVATE KEY-----' key.pem".to_owned())]
#[case::jwt_without_a_signature(jwt(r#"{"alg":"none"}"#, ""))]
#[case::json_in_base64("eyJhIjogMSwgImIiOiAyfQ".to_owned())]
#[case::three_parts_that_are_none("eyJhbGc.eyJzdWI.abcdefg0123456789".to_owned())]
#[case::other_json_as_a_header(jwt(r#"{"typ":"JWT"}"#, &us(43)))]
#[case::not_ascii("\u{e9}\u{4e2d}://\u{1f600}: @ sk-\u{e9}".to_owned())]
fn is_not_accused(#[case] text: String) {
    assert_eq!(find(&text, "").collect::<Vec<_>>(), [], "{text}");
    assert_eq!(masked(&text), text);
}

#[test]
fn the_name_of_a_variable_tells_what_its_value_is() {
    let value = random(40, BASE64);
    assert_eq!(
        find(&value, "AWS_SECRET_ACCESS_KEY").map(|l| l.what).collect::<Vec<_>>(),
        ["an AWS secret key"]
    );
    assert_eq!(find(&value, "GIT_COMMIT").count(), 0);
}

#[rstest]
#[case::of_a_client("OIDC_CLIENT_SECRET", an(32), true)]
#[case::hexadecimal("AZURE_API_KEY", random(32, HEX), true)]
#[case::with_dashes("db-password", ["q7Ht2LmZ9xVb4KdR8s", "c1NfY6uJp3E"].join("-"), true)]
#[case::an_uuid("NOTION_TOKEN", uuid(), true)]
#[case::in_base64("N8N_ENCRYPTION_KEY", random(32, BASE64), true)]
#[case::of_a_header("Authorization", an(32), true)]
#[case::of_sixteen("REDIS_PASSWORD", an(16), true)]
#[case::an_identifier("CLIENT_ID", an(32), false)]
#[case::public("LANGFUSE_PUBLIC_KEY", an(32), false)]
#[case::public_too("NEXT_PUBLIC_MAP_TOKEN", an(32), false)]
#[case::a_place("TOKEN_FILE", an(32), false)]
#[case::a_key_of_a_cache("CACHE_KEY", an(32), false)]
#[case::words("DB_PASSWORD", "correct-horse-battery-staple".to_owned(), false)]
#[case::a_path("SIGNING_KEY", "/run/secrets/agents/signing-key".to_owned(), false)]
#[case::a_name_of_one("DB_SECRET", "prod/FeedbackReaderDatabase1".to_owned(), false)]
#[case::an_arn("DB_SECRET", format!("arn:aws:secretsmanager:eu:1:secret:Db-{}", an(20)), false)]
#[case::another_variable("DB_PASSWORD", "$(THE_PASSWORD_OF_ANOTHER_1a2B3c)".to_owned(), false)]
#[case::of_an_example("API_TOKEN", "your1Token2Goes3Here4Instead5OfThis".to_owned(), false)]
#[case::short("PASSWORD", an(15), false)]
#[case::a_word_with_a_year("DB_PASSWORD", "Summer-Holiday-2024x".to_owned(), false)]
#[case::a_name_with_a_version("TOKEN_SECRET", "FeedbackReaderV2".to_owned(), false)]
fn what_is_called_a_secret_and_is_no_word_is_one(
    #[case] name: &str,
    #[case] value: String,
    #[case] expected: bool,
) {
    let found: Vec<_> = find(&value, name).collect();
    let whole = Literal { what: "a secret, as its name says", secret: 0..value.len() };
    assert_eq!(found, if expected { vec![whole] } else { vec![] }, "{value}");
}

#[rstest]
#[case::a_block_ends_in_a_line_break("", "\n")]
#[case::blanks("\t ", " ")]
#[case::quotes("\"", "\"")]
#[case::a_statement("'", "';")]
fn what_stands_around_a_secret_does_not_hide_it(#[case] before: &str, #[case] after: &str) {
    let secret = "Xy12abCD34efGH56ij78Kq";
    let value = format!("{before}{secret}{after}");
    let found: Vec<_> = find(&value, "DB_PASSWORD").map(|l| value[l.secret].to_owned()).collect();
    assert_eq!(found, [secret]);
    assert_eq!(find(&value, "DB_NAME").count(), 0);
}

#[test]
fn of_two_variables_of_one_name_the_one_is_told_that_has_it() {
    let env = json!([{"name": "T", "value": "x"}, {"name": "T", "value": format!("ghp_{}", an(36))}, {"name": "U"}]);
    let pod = json!({"spec": {"containers": [{"name": "a", "env": env}]}});
    let told = literals(&AgentPod::parse(&pod.to_string()).unwrap());
    assert_eq!(told.iter().map(|r| r.path.as_str()).collect::<Vec<_>>(), ["spec.containers[0].env[1].value"]);
}

#[test]
fn what_is_found_is_told_by_place_and_kind_in_every_container() {
    let token = format!("ghp_{}", an(36));
    let spec = json!({
        "initContainers": [{"name": "init", "command": ["sh", "-c", format!("git clone https://x:{token}@github.com/a/b")]}],
        "containers": [{"name": "agent", "args": ["--verbose", format!("--token={token}")],
            "env": [{"name": "A", "value": "$(B)"}, {"name": "T", "value": token},
                {"name": "AWS_SECRET_ACCESS_KEY", "value": random(40, BASE64)}]}],
        "ephemeralContainers": [{"name": "debug", "env": [{"name": "T", "value": token}]}],
    });
    let pod = AgentPod::parse(&json!({ "spec": spec }).to_string()).unwrap();
    let told = literals(&pod);
    let places: Vec<_> = told.iter().map(|r| (r.code(), r.path.as_str())).collect();
    let expected = [
        "spec.initContainers[0].command[2]",
        "spec.containers[0].env[T].value",
        "spec.containers[0].env[AWS_SECRET_ACCESS_KEY].value",
        "spec.containers[0].args[1]",
        "spec.ephemeralContainers[0].env[T].value",
    ];
    assert_eq!(places, expected.map(|path| ("AID065", path)));
    for refusal in told {
        let text = format!("{refusal} {refusal:?}");
        assert!(!text.contains(&token[4..]) && !text.contains(&random(40, BASE64)), "{text}");
    }
}

#[test]
fn an_error_that_quotes_a_credential_shows_none() {
    let token = format!("ghp_{}", an(36));
    let refusal = AgentPod::parse(&json!({"spec": {"containers": [token]}}).to_string());
    let text = refusal.unwrap_err().to_string();
    assert!(text.contains("invalid type: string \"***") && !text.contains(&token[4..]), "{text}");
}

#[test]
fn a_small_pod_with_many_is_told_some() {
    let args = vec![format!("ghp_{}", an(36)); 1000];
    let pod = json!({"spec": {"containers": [{"name": "a", "args": args}]}});
    assert_eq!(literals(&AgentPod::parse(&pod.to_string()).unwrap()).len(), TOLD);
}

#[test]
fn text_that_is_nearly_a_credential_again_and_again_takes_no_time() {
    let header = jwt(r#"{"alg":"RS256"}"#, "");
    let header = header.split('.').next().unwrap();
    let nearly = [
        "sk-",
        "sk-a-",
        "eyJ",
        "eyJ.",
        "xoxb-",
        "Bearer ",
        "Basic ",
        "SG.",
        "SG.a.",
        "hooks.slack.com/services/",
        "tvly-",
        "://",
        ":@",
        "://a:",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "ghs_a-",
        "glpat-.",
        "pypi-AgEI-",
        "hvs.",
        "a/",
        "/",
        "-",
        &format!("{header}."),
        &format!("{header}-"),
    ];
    for piece in nearly {
        let text = piece.repeat(1_000_000 / piece.len());
        let begin = std::time::Instant::now();
        find(&text, "SECRET_ACCESS_KEY").count();
        assert!(begin.elapsed().as_secs() < 1, "{piece} takes {:?}", begin.elapsed());
    }
}
