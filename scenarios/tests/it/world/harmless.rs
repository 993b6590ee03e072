//! Kinds of faults that plan as the real ones do and never inject anything.

/// A kind with this specification; the last part says what it touches.
macro_rules! harmless {
    ($name:ident, $spec:ty, $kind:literal, $how:ident, $mechanism:literal, $radius:expr) => {
        struct $name;

        impl Injector for $name {
            const KIND: &'static str = $kind;
            const SUMMARY: &'static str = "a fault that only tests plan";
            const REVERSIBILITY: Reversibility = Reversibility::$how;
            type Spec = $spec;
            type Undo = ();

            fn blast_radius(s: &$spec, topology: &Topology) -> Result<BlastRadius, FaultError> {
                let radius: fn(&$spec, &Topology) -> Result<BlastRadius, FaultError> = $radius;
                radius(s, topology)
            }

            fn holds(_: &$spec) -> Vec<Hold> {
                vec![Hold::Changed(PROCESS)]
            }

            fn mechanism(_: &$spec) -> String {
                $mechanism.to_owned()
            }

            fn touched(_: &$spec, (): &(), _: &Topology) -> Touched {
                Touched::default()
            }

            async fn arm(&self, _: &Cx<'_>, _: &$spec) -> Result<(), FaultError> {
                Ok(())
            }

            async fn inject(
                &self,
                _: &Cx<'_>,
                _: &$spec,
                (): &(),
            ) -> Result<Option<()>, FaultError> {
                Ok(None)
            }

            async fn verify(&self, _: &Cx<'_>, _: &$spec, (): &()) -> Result<Effect, FaultError> {
                Ok(Effect::Absent)
            }

            async fn revert(&self, _: &Cx<'_>, (): &()) -> Result<Reverted, FaultError> {
                Ok(Reverted::WasClean)
            }
        }
    };
}
