//! Whether a guest that was started on one node can go on living on another.

use super::{Inventory, Virtualisation};

/// What a running guest has of its node's processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor<'a> {
    /// How guests are run.
    pub virtualisation: Virtualisation,
    /// The model, by libvirt's name.
    pub model: &'a str,
    /// Features beyond it.
    pub features: &'a [String],
}

/// Why it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlike {
    /// Guests are run in another way.
    Virtualisation,
    /// The processor lacks something, or is another model.
    Processor,
}

impl Processor<'_> {
    /// Whether guests of `source` can live on here. Under emulation the processor is QEMU's own and the same
    /// everywhere.
    ///
    /// # Errors
    /// [`Unlike`].
    pub fn takes_over(self, source: Processor<'_>) -> Result<(), Unlike> {
        if source.virtualisation != self.virtualisation {
            return Err(Unlike::Virtualisation);
        }
        // A planner asks this for every server, mostly of nodes that are alike, and of more than a hundred features.
        let has_all = || {
            let sorted = self.features.is_sorted();
            let has = |feature: &String| {
                if sorted { self.features.binary_search(feature).is_ok() } else { self.features.contains(feature) }
            };
            source.features.iter().all(has)
        };
        let has_all = || self.features == source.features || has_all();
        if self.virtualisation == Virtualisation::Kvm && (source.model != self.model || !has_all()) {
            return Err(Unlike::Processor);
        }
        Ok(())
    }
}

impl Inventory {
    /// Its processor, as guests have it.
    #[must_use]
    pub fn processor(&self) -> Processor<'_> {
        Processor { virtualisation: self.virtualisation, model: &self.cpu_model, features: &self.cpu_features }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_lives_on_where_there_is_all_that_it_had_and_under_emulation_everywhere() {
        let (poor, rich) = (["aes".to_owned()], ["aes".to_owned(), "avx2".to_owned()]);
        let of = |virtualisation, model, features| Processor { virtualisation, model, features };
        let kvm = |model, features| of(Virtualisation::Kvm, model, features);
        assert_eq!(kvm("EPYC", &rich).takes_over(kvm("EPYC", &poor)), Ok(()));
        let turned = ["avx2".to_owned(), "aes".to_owned()];
        assert_eq!(kvm("EPYC", &turned).takes_over(kvm("EPYC", &rich)), Ok(()), "in whatever order they are told");
        assert_eq!(kvm("EPYC", &poor).takes_over(kvm("EPYC", &rich)), Err(Unlike::Processor));
        assert_eq!(kvm("EPYC", &poor).takes_over(kvm("Skylake", &poor)), Err(Unlike::Processor));
        let emulated = |model, features| of(Virtualisation::Qemu, model, features);
        assert_eq!(emulated("EPYC", &poor).takes_over(emulated("Skylake", &rich)), Ok(()));
        assert_eq!(emulated("EPYC", &rich).takes_over(kvm("EPYC", &poor)), Err(Unlike::Virtualisation));
    }
}
