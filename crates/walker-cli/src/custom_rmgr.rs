//! Which custom resource managers are described, and by which number they occur.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::Result;
use custom_rmgrs::Known;
use pgwal::{CustomRmgrId, Descriptors, RmgrId};

use crate::arguments::FilterArguments;
use crate::selection::RmgrChoice;

/// `--custom-rmgr`: the records of this number are those of a known extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CustomRmgrChoice {
    pub(crate) id: RmgrId,
    pub(crate) known: &'static Known,
}

impl FromStr for CustomRmgrChoice {
    type Err = String;

    /// Reads `128=test_custom_rmgrs`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, name) = text.split_once('=').ok_or("expecting ID=NAME, for example 128=test_custom_rmgrs")?;
        let id = id.parse().ok().map(RmgrId::new).filter(|rmgr| rmgr.is_custom());
        let id = id.ok_or("a custom resource manager ID is between 128 and 255")?;
        let known = Known::find(name).ok_or_else(|| {
            let names: Vec<_> = Known::ALL.iter().map(|known| known.name).collect();
            format!("the records of \"{name}\" are not known; known are {}", names.join(", "))
        })?;
        Ok(Self { id, known })
    }
}

/// Who describes records: those whose number was given, or named by `--rmgr`, or is theirs alone. The experimental number
/// is everybody's, so nothing is guessed from it.
pub(crate) fn descriptors(filter: &FilterArguments) -> Result<Arc<Descriptors>> {
    let mut descriptors = Descriptors::new();
    for CustomRmgrChoice { id, known } in &filter.custom_rmgrs {
        (known.register)(&mut descriptors, *id)?;
    }
    for known in &Known::ALL {
        let is_named = filter.rmgrs.contains(&RmgrChoice::Known(known.name));
        let id = RmgrId::from(known.id);
        let is_taken = descriptors.get(id).is_some() || descriptors.find(known.name).is_some();
        if (known.id != CustomRmgrId::EXPERIMENTAL || is_named) && !is_taken {
            (known.register)(&mut descriptors, id)?;
        }
    }
    Ok(Arc::new(descriptors))
}

/// The name of a resource manager; of one that nobody describes, that of pg_waldump.
pub(crate) fn name(descriptors: &Descriptors, rmgr: RmgrId) -> String {
    descriptors.name(rmgr).map_or_else(|| rmgr.to_string(), ToOwned::to_owned)
}

/// The numbers by which the records of a known extension occur.
pub(crate) fn ids_of(filter: &FilterArguments, name: &str) -> Vec<RmgrId> {
    let given = filter.custom_rmgrs.iter().filter(|choice| choice.known.name == name);
    let given: Vec<_> = given.map(|choice| choice.id).collect();
    if given.is_empty() { Known::find(name).map(|known| known.id.into()).into_iter().collect() } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(custom_rmgrs: &[&str], rmgrs: &[&str]) -> FilterArguments {
        FilterArguments {
            custom_rmgrs: custom_rmgrs.iter().map(|text| text.parse().unwrap()).collect(),
            rmgrs: rmgrs.iter().map(|text| text.parse().unwrap()).collect(),
            ..FilterArguments::default()
        }
    }

    #[test]
    fn nobody_is_guessed_from_the_experimental_number() {
        let name =
            |filter: &FilterArguments, id| descriptors(filter).unwrap().name(RmgrId::new(id)).map(ToOwned::to_owned);
        assert_eq!(name(&filter(&[], &[]), 128), None);
        let test_custom_rmgrs = Some("test_custom_rmgrs".to_owned());
        assert_eq!(name(&filter(&[], &["test_custom_rmgrs"]), 128), test_custom_rmgrs);
        assert_eq!(name(&filter(&["128=test_custom_rmgrs"], &[]), 128), test_custom_rmgrs);
        let moved = filter(&["200=test_custom_rmgrs"], &["test_custom_rmgrs"]);
        assert_eq!((name(&moved, 200), name(&moved, 128)), (test_custom_rmgrs, None));
        assert_eq!(ids_of(&moved, "test_custom_rmgrs"), [RmgrId::new(200)]);
    }

    #[test]
    fn mistakes_are_refused() {
        for wrong in ["", "128", "7=test_custom_rmgrs", "300=test_custom_rmgrs", "128=nobody"] {
            assert!(wrong.parse::<CustomRmgrChoice>().is_err(), "{wrong}");
        }
        assert!(descriptors(&filter(&["128=test_custom_rmgrs", "129=test_custom_rmgrs"], &[])).is_err());
    }
}
