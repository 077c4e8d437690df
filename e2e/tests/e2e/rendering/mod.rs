//! What the charts promise for every set of values, read off what helm renders. Needs helm, in `HELM` or built
//! by `e2e/test`; no cluster.

mod admission;
mod advice;
mod crds;
mod names;
mod pods;
mod powers;
mod readme;
mod values;
