//! A program: made from a seed, emitted as an executable, whole or with parts left out.

use isa::csr::*;
use isa::{ExtSet, Op};

use super::code::{ADDRESS_WORDS, address, i, li, reg, s};
use super::csrs::{STATEEN0, set};
use super::elf::executable;
use super::episode::{Episode, Episodes, end};
use super::handlers;
use super::items::{Item, arithmetic};
use super::layout::*;
use super::rng::Rng;
use super::world::{Current, World};

/// Episodes of a program.
const EPISODES_COUNT: usize = 150;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) tables: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) episodes: Vec<Episode>,
}

impl Program {
    /// The program of a seed, for a hart with `exts`.
    pub(super) fn new(seed: u64, exts: &ExtSet) -> Self {
        let mut rng = Rng::new(seed);
        let updates = rng.chance(50);
        let world = World::new(&mut rng, updates);
        let tables = world.tables.bytes();
        let data = (0..DATA_BYTES / 8).flat_map(|_| rng.value().to_le_bytes()).collect();
        let arithmetic = arithmetic(exts);
        let owed = vec![false; world.g.len() + 1];
        let mut episodes = Episodes {
            rng,
            world,
            arithmetic: &arithmetic,
            updates,
            current: Current::default(),
            owed,
        };
        let episodes = (0..EPISODES_COUNT).map(|_| episodes.episode()).collect();
        Self { tables, data, episodes }
    }

    /// As an executable.
    pub(super) fn executable(&self) -> Vec<u8> {
        let mut machine = handlers::machine();
        let boot: Vec<u8> = words(&boot());
        machine.extend(&boot);
        machine.resize((EPISODES - M_CODE) as usize, 0);
        let mut s_code = handlers::supervisors();
        s_code.resize((S_CODE - HS_HANDLER) as usize, 0);
        let mut u_code = Vec::new();
        for episode in &self.episodes {
            let placed = place(episode, &s_code, &u_code);
            let Some((setup, own_s, own_u)) = placed else { break };
            // What follows begins behind this.
            let next = M_CODE + machine.len() as u64 + 4 * (ADDRESS_WORDS + setup.len()) as u64;
            if next + 64 > HS_HANDLER {
                break;
            }
            machine.extend(words(&address(reg::GP, next)));
            machine.extend(words(&setup));
            s_code.extend(own_s);
            u_code.extend(own_u);
        }
        machine.extend(words(&finish()));
        let segments = [
            (M_CODE, machine),
            (HS_HANDLER, s_code),
            (U_CODE, u_code),
            (TABLES, self.tables.clone()),
            (TOHOST, vec![0; 128]),
            (S_DATA, self.data.clone()),
            (U_DATA, self.data.clone()),
        ];
        executable(M_CODE, [TOHOST, TOHOST + 64], &segments)
    }
}

/// An episode's setting up, and its code for supervisors and users; `None` if there is no room.
fn place(episode: &Episode, s_code: &[u8], u_code: &[u8]) -> Option<(Item, Vec<u8>, Vec<u8>)> {
    let is_user = |mode: isa::Mode| mode.privilege() == isa::Privilege::U;
    // Lengths do not depend on addresses.
    let length = |index: usize| {
        let segment = &episode.segments[index];
        let gate = episode.segments.get(index + 1).map_or(end(), |next| next.gate.words(0));
        let gate = gate.len() + end().len();
        4 * (segment.items.iter().map(Vec::len).sum::<usize>() + gate) as u64
    };
    let mut at = [HS_HANDLER + s_code.len() as u64, U_CODE + u_code.len() as u64];
    let mut starts = Vec::new();
    for (index, segment) in episode.segments.iter().enumerate() {
        let at = &mut at[usize::from(is_user(segment.mode))];
        starts.push(*at);
        *at += length(index);
    }
    if at[0] > U_CODE || at[1] > U_CODE_END {
        return None;
    }
    let mut code = [Vec::new(), Vec::new()];
    for (index, segment) in episode.segments.iter().enumerate() {
        let mut all: Item = segment.items.concat();
        if let Some(next) = episode.segments.get(index + 1) {
            all.extend(next.gate.words(starts[index + 1]));
            // Where the way is barred, that was it.
            all.extend(end());
        } else {
            all.extend(end());
            all.extend(end());
        }
        code[usize::from(is_user(segment.mode))].extend(words(&all));
    }
    let mut setup: Item = episode.setup.concat();
    if let Some(first) = episode.segments.first() {
        setup.extend(first.gate.words(starts[0]));
    }
    let [s, u] = code;
    Some((setup, s, u))
}

/// Everything open and allowed, and then the first episode.
fn boot() -> Item {
    let mut item = Item::new();
    item.extend(set(MTVEC, M_HANDLER));
    item.extend(set(STVEC, HS_HANDLER));
    item.extend(set(VSTVEC, VS_HANDLER));
    // Spike begins with an entry that allows everything.
    item.extend(set(PMPADDR0, 0));
    item.extend(set(PMPCFG0, 0));
    item.extend(set(PMPADDR15, u64::MAX >> 10));
    item.extend(set(PMPCFG2, 0x1f << 56));
    item.extend(set(MCOUNTEREN, u64::MAX));
    item.extend(set(HCOUNTEREN, u64::MAX));
    item.extend(set(SCOUNTEREN, u64::MAX));
    item.extend(set(MSTATEEN0, STATEEN0));
    item.extend(set(HSTATEEN0, STATEEN0));
    item.extend(set(STIMECMP, u64::MAX));
    item.extend(set(VSTIMECMP, u64::MAX));
    // The machine timer is silent.
    item.extend(li(reg::T0, MTIMECMP));
    item.push(i(Op::Addi, reg::T1, 0, -1));
    item.push(s(Op::Sd, reg::T1, reg::T0, 0));
    item.extend(set(MSCRATCH, 0));
    // Floating-point registers that are numbers.
    item.extend(set(MSTATUS, 3 << 13));
    for f in 0..32 {
        item.extend(li(reg::T0, 0x3ff0_0000_0000_0000 + (u64::from(f) << 44)));
        item.push(super::code::r(Op::FmvDX, f, reg::T0, 0));
    }
    let data = li(reg::T0, S_DATA + PAGE / 2);
    item.extend(data);
    item.extend((0..reg::POINTERS).map(|p| i(Op::Addi, reg::POINTER + p, reg::T0, 0)));
    item.extend(address(reg::GP, EPISODES));
    item.push(i(Op::Jalr, 0, reg::GP, 0));
    item
}

/// The end: `tohost` says that all went well.
fn finish() -> Item {
    let mut item = li(reg::T0, TOHOST);
    item.push(i(Op::Addi, reg::T1, 0, 1));
    item.push(s(Op::Sd, reg::T1, reg::T0, 0));
    item.push(i(Op::Jal, 0, 0, 0));
    item
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
