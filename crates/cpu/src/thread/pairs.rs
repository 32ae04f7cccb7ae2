//! Links that do the work of two: of the frequent operations, any two that stand one behind the other. The second stays as
//! it is, for who enters there.

use isa::Op as Insn;

use super::jumps::{Jalr, Jr};
use super::parts::{self, *};
use super::{Branch, JalLinked, Jump, One, Pair, Run, is_product, whole};
use crate::op::{CHECKS_TARGET, Op};
use crate::state::X_SINK;

/// The link for both operations.
pub(super) fn of_two(first: &Op, second: &Op) -> Option<Run> {
    match first.code {
        Insn::Addi if first.rs1 == 0 => behind::<Constant>(second),
        Insn::Addi if first.imm == 0 => behind::<parts::Copy>(second),
        Insn::Addi if first.rs1 == first.rd => behind::<Increment>(second),
        Insn::Addi => behind::<Addi>(second),
        Insn::Lui => behind::<Constant>(second),
        Insn::Auipc => behind::<Auipc>(second),
        Insn::Add if first.rs1 == first.rd => behind::<AddTo>(second),
        Insn::Add => behind::<Add>(second),
        Insn::Sub => behind::<Sub>(second),
        Insn::And => behind::<And>(second),
        Insn::Or => behind::<Or>(second),
        Insn::Xor => behind::<Xor>(second),
        Insn::Andi => behind::<Andi>(second),
        _ if is_product(first) => behind::<Product>(second),
        Insn::Srli => behind::<Srli>(second),
        Insn::Srliw => behind::<Srliw>(second),
        Insn::Addw => behind::<Addw>(second),
        Insn::Addiw => behind::<Addiw>(second),
        Insn::Mul => behind::<Mul>(second),
        Insn::Ld => behind::<Load<u64, u64>>(second),
        Insn::Lw => behind::<Load<u32, i32>>(second),
        Insn::Lbu => behind::<Load<u8, u8>>(second),
        Insn::Sd => behind::<Store<u64>>(second),
        Insn::Sw => behind::<Store<u32>>(second),
        _ => None,
    }
}

/// The link for a part with that operation behind it.
fn behind<P: Part>(second: &Op) -> Option<Run> {
    Some(match second.code {
        Insn::Addi if second.rs1 == 0 => whole::<Pair<P, One<Constant>>>,
        Insn::Addi if second.imm == 0 => whole::<Pair<P, One<parts::Copy>>>,
        Insn::Addi if second.rs1 == second.rd => whole::<Pair<P, One<Increment>>>,
        Insn::Addi => whole::<Pair<P, One<Addi>>>,
        Insn::Add if second.rs1 == second.rd => whole::<Pair<P, One<AddTo>>>,
        Insn::Add => whole::<Pair<P, One<Add>>>,
        Insn::Sub => whole::<Pair<P, One<Sub>>>,
        Insn::And => whole::<Pair<P, One<And>>>,
        Insn::Or => whole::<Pair<P, One<Or>>>,
        Insn::Xor => whole::<Pair<P, One<Xor>>>,
        Insn::Andi => whole::<Pair<P, One<Andi>>>,
        _ if is_product(second) => whole::<Pair<P, One<Product>>>,
        Insn::Srli => whole::<Pair<P, One<Srli>>>,
        Insn::Srliw => whole::<Pair<P, One<Srliw>>>,
        Insn::Addw => whole::<Pair<P, One<Addw>>>,
        Insn::Addiw => whole::<Pair<P, One<Addiw>>>,
        Insn::Mul => whole::<Pair<P, One<Mul>>>,
        Insn::Sltu => whole::<Pair<P, One<Sltu>>>,
        Insn::Ld => whole::<Pair<P, One<Load<u64, u64>>>>,
        Insn::Lw => whole::<Pair<P, One<Load<u32, i32>>>>,
        Insn::Lbu => whole::<Pair<P, One<Load<u8, u8>>>>,
        Insn::Lhu => whole::<Pair<P, One<Load<u16, u16>>>>,
        Insn::Sd => whole::<Pair<P, One<Store<u64>>>>,
        Insn::Sw => whole::<Pair<P, One<Store<u32>>>>,
        Insn::Sb => whole::<Pair<P, One<Store<u8>>>>,
        Insn::Jalr if second.aux == CHECKS_TARGET => return None,
        Insn::Jalr if second.rd == X_SINK => whole::<Pair<P, Jr>>,
        Insn::Jalr => whole::<Pair<P, Jalr>>,
        _ => return None,
    })
}

/// The same where the second is a branch or jump that was linked.
pub(super) fn of_linked(first: &Op, second: &Op) -> Option<Run> {
    match first.code {
        Insn::Addi if first.rs1 == 0 => ahead::<Constant>(second),
        Insn::Addi if first.imm == 0 => ahead::<parts::Copy>(second),
        Insn::Addi if first.rs1 == first.rd => ahead::<Increment>(second),
        Insn::Addi => ahead::<Addi>(second),
        Insn::Add if first.rs1 == first.rd => ahead::<AddTo>(second),
        Insn::Add => ahead::<Add>(second),
        Insn::Sub => ahead::<Sub>(second),
        Insn::And => ahead::<And>(second),
        Insn::Or => ahead::<Or>(second),
        Insn::Xor => ahead::<Xor>(second),
        Insn::Andi => ahead::<Andi>(second),
        _ if is_product(first) => ahead::<Product>(second),
        Insn::Srli => ahead::<Srli>(second),
        Insn::Addw => ahead::<Addw>(second),
        Insn::Addiw => ahead::<Addiw>(second),
        Insn::Sltu => ahead::<Sltu>(second),
        Insn::Ld => ahead::<Load<u64, u64>>(second),
        Insn::Lw => ahead::<Load<u32, i32>>(second),
        Insn::Lbu => ahead::<Load<u8, u8>>(second),
        Insn::Sd => ahead::<Store<u64>>(second),
        Insn::Sw => ahead::<Store<u32>>(second),
        Insn::Sb => ahead::<Store<u8>>(second),
        _ => None,
    }
}

/// The link for a part with that linked branch or jump behind it.
fn ahead<P: Part>(second: &Op) -> Option<Run> {
    Some(match second.code {
        Insn::Beq => whole::<Pair<P, Branch<Beq>>>,
        Insn::Bne => whole::<Pair<P, Branch<Bne>>>,
        Insn::Blt => whole::<Pair<P, Branch<Blt>>>,
        Insn::Bge => whole::<Pair<P, Branch<Bge>>>,
        Insn::Bltu => whole::<Pair<P, Branch<Bltu>>>,
        Insn::Bgeu => whole::<Pair<P, Branch<Bgeu>>>,
        Insn::Jal if second.rd == X_SINK => whole::<Pair<P, Jump>>,
        Insn::Jal => whole::<Pair<P, JalLinked>>,
        _ => return None,
    })
}
