#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../src/webhook/answer.rs"]
mod answer;
#[path = "../checks/review.rs"]
pub(crate) mod check;
#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../src/webhook/review.rs"]
mod review;
