//! Which modules need which others.

use std::collections::{BTreeSet, HashMap};

use super::facts::ModuleFacts;

/// Modules by their place in the order, and for each the places of those that it needs.
pub(super) struct Dependencies {
    /// Everything that a module needs, directly or not: users before what they use.
    pub(super) all: Vec<Vec<usize>>,
    /// The module that owns each exported symbol.
    pub(super) owners: HashMap<String, usize>,
}

/// Modules that need one another in a circle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kernel modules need one another in a circle: {}", .0.join(", "))]
pub struct DependencyCycle(pub Vec<String>);

impl Dependencies {
    pub(super) fn of(modules: &[&ModuleFacts]) -> Result<Self, DependencyCycle> {
        let mut owners = HashMap::new();
        for (place, module) in modules.iter().enumerate() {
            // Some architectures mark functions with a dot.
            let names = module.exports.iter().map(|name| name.trim_start_matches('.'));
            owners.extend(names.map(|name| (name.to_owned(), place)));
        }
        let direct: Vec<Vec<usize>> = modules.iter().zip(0..).map(|(m, at)| needs(m, at, &owners)).collect();
        let order = sort(&direct).map_err(|circle| {
            DependencyCycle(circle.into_iter().map(|place| modules[place].name()).collect())
        })?;
        let all = closures(&direct, &order);
        Ok(Self { all, owners })
    }
}

/// What a module needs directly, in the order in which its symbol table tells.
fn needs(module: &ModuleFacts, itself: usize, owners: &HashMap<String, usize>) -> Vec<usize> {
    let mut found = Vec::new();
    for name in &module.imports {
        if let Some(&owner) = owners.get(name.trim_start_matches('.'))
            && owner != itself
            && !found.contains(&owner)
        {
            found.push(owner);
        }
    }
    found
}

/// Topological order: `order[place]` is lower for users than for what they use. Ties are broken as depmod
/// does, by going on with the module that became free last. `Err` has those that no order fits.
fn sort(direct: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut users = vec![0usize; direct.len()];
    direct.iter().flatten().for_each(|&needed| users[needed] += 1);
    let mut free: Vec<usize> = (0..direct.len()).filter(|&place| users[place] == 0).collect();
    let mut order = vec![usize::MAX; direct.len()];
    let mut sorted = 0;
    while let Some(place) = free.pop() {
        order[place] = sorted;
        sorted += 1;
        for &needed in &direct[place] {
            users[needed] -= 1;
            if users[needed] == 0 {
                free.push(needed);
            }
        }
    }
    if sorted == direct.len() {
        return Ok(order);
    }
    Err((0..direct.len()).filter(|&place| order[place] == usize::MAX).collect())
}

/// Everything that each module needs, sorted by `order`.
fn closures(direct: &[Vec<usize>], order: &[usize]) -> Vec<Vec<usize>> {
    let mut by_order: Vec<usize> = (0..direct.len()).collect();
    by_order.sort_unstable_by_key(|&place| std::cmp::Reverse(order[place]));
    let mut all: Vec<Vec<usize>> = vec![Vec::new(); direct.len()];
    // What is needed comes first, so every closure is made of finished ones.
    for place in by_order {
        let mut closure = BTreeSet::new();
        for &needed in &direct[place] {
            closure.insert((order[needed], needed));
            closure.extend(all[needed].iter().map(|&further| (order[further], further)));
        }
        all[place] = closure.into_iter().map(|(_, needed)| needed).collect();
    }
    all
}
