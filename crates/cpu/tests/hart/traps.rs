//! Trap entry and return: who handles an exception, every field that changes, and none that does not. The state before
//! is drawn at random, the state behind worked out from the manual's text.

use std::collections::BTreeMap;

use cpu::{Hart, Trap};
use isa::field::{hstatus, mstatus};
use isa::{Exception, ExtSet, Mode, Pa, Privilege, csr};

use crate::interrupts::{Lines, hart};
use crate::rig::BASE;

const MODES: [Mode; 5] = [Mode::M, Mode::S, Mode::U, Mode::VS, Mode::VU];

/// What traps and returns may touch.
const TOUCHED: [u16; 19] = [
    csr::MSTATUS,
    csr::HSTATUS,
    csr::VSSTATUS,
    csr::MEPC,
    csr::MCAUSE,
    csr::MTVAL,
    csr::MTVAL2,
    csr::MTINST,
    csr::SEPC,
    csr::SCAUSE,
    csr::STVAL,
    csr::HTVAL,
    csr::HTINST,
    csr::VSEPC,
    csr::VSCAUSE,
    csr::VSTVAL,
    csr::MSCRATCH,
    csr::SSCRATCH,
    csr::VSSCRATCH,
];

const MTVEC: u64 = BASE + 0x4000;
const STVEC: u64 = BASE + 0x5000;
const VSTVEC: u64 = BASE + 0x6000;

/// The architectural state that traps and returns act on.
#[derive(Clone, PartialEq, Eq, Debug)]
struct State {
    mode: Mode,
    pc: u64,
    csrs: BTreeMap<u16, u64>,
}

impl State {
    fn of(hart: &Hart) -> Self {
        let csrs = TOUCHED.map(|number| (number, hart.csr(number).expect("a CSR")));
        Self { mode: hart.mode(), pc: hart.pc(), csrs: csrs.into() }
    }

    fn get(&self, number: u16, field: u64) -> u64 {
        isa::field::get(self.csrs[&number], field)
    }

    fn set(&mut self, number: u16, field: u64, value: u64) {
        let old = self.csrs[&number];
        self.csrs.insert(number, isa::field::set(old, field, value));
    }

    fn write(&mut self, number: u16, value: u64) {
        self.set(number, u64::MAX, value);
    }

    /// xPIE=xIE, xIE=0, xPP=previous.
    fn stack_supervisor(&mut self, number: u16, previous: Privilege) {
        let ie = self.get(number, mstatus::SIE);
        self.set(number, mstatus::SPIE, ie);
        self.set(number, mstatus::SIE, 0);
        self.set(number, mstatus::SPP, u64::from(previous == Privilege::S));
    }

    /// xIE=xPIE, xPIE=1, xPP=U; the privilege that xPP named.
    fn unstack_supervisor(&mut self, number: u16) -> Privilege {
        let (pie, pp) = (self.get(number, mstatus::SPIE), self.get(number, mstatus::SPP));
        self.set(number, mstatus::SIE, pie);
        self.set(number, mstatus::SPIE, 1);
        self.set(number, mstatus::SPP, 0);
        if pp == 1 { Privilege::S } else { Privilege::U }
    }

    /// What an exception makes of it.
    fn trapped(&self, trap: &Trap, medeleg: u64, hedeleg: u64) -> Self {
        let mut next = self.clone();
        let bit = trap.exception.bit();
        let (v, privilege) = (self.mode.v(), self.mode.privilege());
        let code = trap.exception.code();
        if self.mode == Mode::M || medeleg & bit == 0 {
            next.write(csr::MEPC, self.pc);
            next.write(csr::MCAUSE, code);
            next.write(csr::MTVAL, trap.tval);
            next.write(csr::MTVAL2, trap.tval2);
            next.write(csr::MTINST, trap.tinst);
            let mie = self.get(csr::MSTATUS, mstatus::MIE);
            next.set(csr::MSTATUS, mstatus::MPIE, mie);
            next.set(csr::MSTATUS, mstatus::MIE, 0);
            next.set(csr::MSTATUS, mstatus::MPP, privilege as u64);
            next.set(csr::MSTATUS, mstatus::MPV, u64::from(v));
            next.set(csr::MSTATUS, mstatus::GVA, u64::from(trap.gva));
            (next.mode, next.pc) = (Mode::M, MTVEC);
        } else if v && hedeleg & bit != 0 {
            next.write(csr::VSEPC, self.pc);
            next.write(csr::VSCAUSE, code);
            next.write(csr::VSTVAL, trap.tval);
            next.stack_supervisor(csr::VSSTATUS, privilege);
            (next.mode, next.pc) = (Mode::VS, VSTVEC);
        } else {
            next.write(csr::SEPC, self.pc);
            next.write(csr::SCAUSE, code);
            next.write(csr::STVAL, trap.tval);
            next.write(csr::HTVAL, trap.tval2);
            next.write(csr::HTINST, trap.tinst);
            next.stack_supervisor(csr::MSTATUS, privilege);
            next.set(csr::HSTATUS, hstatus::SPV, u64::from(v));
            if v {
                next.set(csr::HSTATUS, hstatus::SPVP, u64::from(privilege == Privilege::S));
            }
            next.set(csr::HSTATUS, hstatus::GVA, u64::from(trap.gva));
            (next.mode, next.pc) = (Mode::S, STVEC);
        }
        next
    }

    /// What MRET in M-mode makes of it.
    fn after_mret(&self) -> Self {
        let mut next = self.clone();
        let privilege = Privilege::from_bits(self.get(csr::MSTATUS, mstatus::MPP)).expect("legal");
        // MPV is ignored where MPP is M.
        let v = privilege != Privilege::M && self.get(csr::MSTATUS, mstatus::MPV) == 1;
        let mpie = self.get(csr::MSTATUS, mstatus::MPIE);
        next.set(csr::MSTATUS, mstatus::MPV, 0);
        next.set(csr::MSTATUS, mstatus::MPP, 0);
        next.set(csr::MSTATUS, mstatus::MIE, mpie);
        next.set(csr::MSTATUS, mstatus::MPIE, 1);
        if privilege != Privilege::M {
            next.set(csr::MSTATUS, mstatus::MPRV, 0);
        }
        next.pc = self.csrs[&csr::MEPC];
        next.mode = Mode::new(privilege, v);
        next
    }

    /// What SRET makes of it, in M, HS or VS.
    fn after_sret(&self) -> Self {
        let mut next = self.clone();
        if self.mode.v() {
            let privilege = next.unstack_supervisor(csr::VSSTATUS);
            (next.mode, next.pc) = (Mode::new(privilege, true), self.csrs[&csr::VSEPC]);
            return next;
        }
        let v = self.get(csr::HSTATUS, hstatus::SPV) == 1;
        let privilege = next.unstack_supervisor(csr::MSTATUS);
        next.set(csr::HSTATUS, hstatus::SPV, 0);
        // The new mode is below M.
        next.set(csr::MSTATUS, mstatus::MPRV, 0);
        (next.mode, next.pc) = (Mode::new(privilege, v), self.csrs[&csr::SEPC]);
        next
    }
}

/// xorshift64: the same sequence each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A hart with everything that traps and returns touch drawn at random, in `mode`. MPRV is off below M, where it
/// cannot be on.
fn drawn(hart: &mut Hart, random: &mut Random, mode: Mode) {
    for number in TOUCHED {
        let mut value = random.next();
        if matches!(number, csr::MEPC | csr::SEPC | csr::VSEPC) {
            value = BASE + 0x8000 + (value & 0xffe);
        }
        if number == csr::MSTATUS && mode != Mode::M {
            value &= !mstatus::MPRV;
        }
        if number == csr::MSTATUS {
            // Nothing that withholds SRET.
            value &= !mstatus::TSR;
        }
        if number == csr::HSTATUS {
            value &= !(hstatus::VTSR | hstatus::VGEIN);
        }
        hart.set_csr(number, value);
    }
    hart.set_mode(mode);
}

fn prepared() -> Hart {
    let mut hart = hart(ExtSet::default_set(), 0);
    hart.set_csr(csr::MTVEC, MTVEC);
    hart.set_csr(csr::STVEC, STVEC);
    hart.set_csr(csr::VSTVEC, VSTVEC);
    hart
}

// norm: H_trap_deleg, H_trap_m_csrwrites, H_trap_hs_csrwrites, H_trap_vs_csrwrites, hedeleg_op, mstatus_mpv_op
// norm: mstatus_gva_op, hstatus_spv_op, hstatus_spvp_op, hstatus_gva_op, H_vscsrs_v1, H_vscsrs_v0
// norm: medeleg_mideleg_op2, trap_def_M_mode, trap_del_S-mode, trap_del_S_mode_op, trap_del_S_mode_no_M_mode
// norm: trap_never_trans_lower, trap_horiz, mstatus_xpie_xie_xpp_trap_op, mstatus_xpie_xpp_op, sstatus_spp
// norm: sstatus_spie, mepc_op, mcause_op, mtval_op, mtvec_mode_direct_op, sepc_op_trap_write, scause, stval
// norm: mcause_exccode_op, htval_trapval, mtval2_trapval, H_trap_xtinst
#[test]
fn an_exception_goes_where_it_is_delegated_and_changes_what_it_must() {
    let mut hart = prepared();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for &exception in Exception::ALL {
        for mode in MODES {
            for round in 0..64 {
                drawn(&mut hart, &mut random, mode);
                let (to_s, to_vs) = (round & 1 != 0, round & 2 != 0);
                hart.set_csr(csr::MEDELEG, if to_s { exception.bit() } else { 0 });
                hart.set_csr(csr::HEDELEG, if to_vs { exception.bit() } else { 0 });
                // Those that cannot be delegated are not.
                let medeleg = hart.csr(csr::MEDELEG).expect("medeleg");
                let hedeleg = hart.csr(csr::HEDELEG).expect("hedeleg");
                hart.set_pc(BASE + (random.next() & 0xffe));
                let trap = Trap {
                    exception,
                    tval: random.next(),
                    // Registers that hold something else must become zero, too.
                    tval2: if round & 4 != 0 { random.next() >> 8 } else { 0 },
                    tinst: if round & 8 != 0 { random.next() >> 32 } else { 0 },
                    gva: random.next() & 2 != 0,
                };
                let before = State::of(&hart);
                hart.raise(trap);
                let after = State::of(&hart);
                let expected = before.trapped(&trap, medeleg, hedeleg);
                assert_eq!(after, expected, "{exception} in {mode}, {trap:x?}\nbefore {before:x?}");
            }
        }
    }
}

/// Executes one instruction in a drawn state.
fn execute(hart: &mut Hart, random: &mut Random, mode: Mode, word: u32) -> (State, State) {
    drawn(hart, random, mode);
    hart.ram().write(Pa(BASE + 0x9000), word).expect("RAM");
    hart.set_pc(BASE + 0x9000);
    let before = State::of(hart);
    hart.step_logged(&mut Lines::none(), &mut |event| {
        assert!(matches!(event, cpu::Event::Commit(_)), "{event:?} in {mode}");
    });
    (before, State::of(hart))
}

// norm: mret_h, mstatus_xret_op, mstatus_mprv_clr_mret_sret_less_priv, xret_op, mstatus_mpv_op
#[test]
fn mret_returns_to_the_mode_that_mpp_and_mpv_name() {
    let mut hart = prepared();
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut reached = Vec::new();
    for _ in 0..2_000 {
        let (before, after) = execute(&mut hart, &mut random, Mode::M, 0x3020_0073);
        assert_eq!(after, before.after_mret(), "before {before:x?}");
        if !reached.contains(&after.mode) {
            reached.push(after.mode);
        }
    }
    assert_eq!(reached.len(), MODES.len());
}

// norm: sret_h, sret_v0, sret_v1, hstatus_spv_sret, mstatus_mprv_clr_mret_sret_less_priv, xret_in_higher_mode
// norm: sstatus_spp, sstatus_spie, xret_op
#[test]
fn sret_returns_to_the_mode_that_spp_and_spv_name_or_within_the_guest() {
    let mut hart = prepared();
    let mut random = Random(0x1234_5678_9abc_def1);
    for (mode, modes) in [
        (Mode::M, [Mode::U, Mode::S, Mode::VU, Mode::VS].as_slice()),
        (Mode::S, &[Mode::U, Mode::S, Mode::VU, Mode::VS]),
        (Mode::VS, &[Mode::VU, Mode::VS]),
    ] {
        let mut reached = Vec::new();
        for _ in 0..2_000 {
            let (before, after) = execute(&mut hart, &mut random, mode, 0x1020_0073);
            assert_eq!(after, before.after_sret(), "in {mode}, before {before:x?}");
            if !reached.contains(&after.mode) {
                reached.push(after.mode);
            }
        }
        assert!(modes.iter().all(|mode| reached.contains(mode)), "{reached:?}");
        assert_eq!(reached.len(), modes.len());
    }
}

/// The registers that a guest's numbers mean: number, and the VS register that stands for it at V=1.
const PAIRS: [(u16, u16); 10] = [
    (csr::SSTATUS, csr::VSSTATUS),
    (csr::SIE, csr::VSIE),
    (csr::STVEC, csr::VSTVEC),
    (csr::SSCRATCH, csr::VSSCRATCH),
    (csr::SEPC, csr::VSEPC),
    (csr::SCAUSE, csr::VSCAUSE),
    (csr::STVAL, csr::VSTVAL),
    (csr::SIP, csr::VSIP),
    (csr::STIMECMP, csr::VSTIMECMP),
    (csr::SATP, csr::VSATP),
];

/// A value that every register of [`PAIRS`] can hold, and that is not its reset value. MODE=Bare keeps the program
/// mapped; SSIE and SSIP, SPP, a cause, an aligned address.
const HELD: u64 = 2;

// norm: H_vscsrs_sub, H_vscsrs_v1, vsstatus_sz_acc_op, vsip_vsie_sz_acc_op, vstvec_sz_acc_op, vsscratch_sz_acc_op
// norm: vspec_sz_acc_op, vscause_sz_acc_op, vstval_sz_acc_op, vsatp_sz_acc_op, vsatp_mode_unsupported_v1
#[test]
fn in_a_guest_a_supervisor_s_number_means_the_vs_register() {
    for (number, vs) in PAIRS {
        let mut hart = prepared();
        for enable in [csr::MENVCFG, csr::HENVCFG] {
            hart.set_csr(enable, 1 << 63);
        }
        hart.set_csr(csr::MCOUNTEREN, 2);
        hart.set_csr(csr::HCOUNTEREN, 2);
        hart.set_csr(csr::HIDELEG, 0x444);
        hart.set_csr(csr::MIDELEG, 0x222);
        let value = match number {
            csr::STVEC | csr::SEPC => 0x1000,
            csr::SATP => 0,
            _ => HELD,
        };
        let (native_before, vs_before) = (hart.csr(number), hart.csr(vs));
        // CSRRW a0, number, a1 in VS-mode.
        let word = u32::from(number) << 20 | 11 << 15 | 1 << 12 | 10 << 7 | 0x73;
        hart.ram().write(Pa(BASE), word).expect("RAM");
        hart.set_x(11, value);
        hart.set_mode(Mode::VS);
        hart.set_pc(BASE);
        hart.step_logged(&mut Lines::none(), &mut |event| {
            assert!(matches!(event, cpu::Event::Commit(_)), "{event:?}");
        });
        assert_eq!(Some(hart.x(10)), vs_before);
        assert_eq!(hart.csr(number), native_before, "{number:#x}");
        if number != csr::SATP {
            assert_ne!(hart.csr(vs), vs_before, "{vs:#x}");
        }
        // An unsupported MODE is no write at all.
        if number == csr::SATP {
            hart.set_csr(csr::VSATP, 0);
            hart.set_x(11, 3 << 60 | 0x123);
            hart.set_pc(BASE);
            hart.step_logged(&mut Lines::none(), &mut |_| {});
            assert_eq!((hart.csr(csr::VSATP), hart.csr(csr::SATP)), (Some(0), Some(0)));
        }
    }
}

// norm: H_scsrs_nomatch
#[test]
fn registers_without_a_vs_register_are_shared_with_the_guest() {
    for (number, value) in [(csr::SENVCFG, 1), (csr::SCOUNTEREN, 5)] {
        let mut hart = prepared();
        for enable in [csr::MSTATEEN0, csr::HSTATEEN0] {
            hart.set_csr(enable, u64::MAX);
        }
        hart.set_csr(number, value);
        let word = u32::from(number) << 20 | 11 << 15 | 1 << 12 | 10 << 7 | 0x73;
        hart.ram().write(Pa(BASE), word).expect("RAM");
        hart.set_x(11, 0x80);
        hart.set_mode(Mode::VS);
        hart.set_pc(BASE);
        hart.step_logged(&mut Lines::none(), &mut |_| {});
        assert_eq!((hart.x(10), hart.csr(number)), (value, Some(0x80)));
    }
}

// norm: htimedelta_sz_acc_op, time_htimedelta_req, time_op_rdonly
#[test]
fn a_guest_reads_time_plus_htimedelta() {
    for (mode, delta) in [
        (Mode::M, 0),
        (Mode::S, 0),
        (Mode::U, 0),
        (Mode::VS, 1 << 40),
        (Mode::VU, 1 << 40),
        (Mode::VS, 0u64.wrapping_sub(1_000)),
    ] {
        let mut hart = prepared();
        for number in [csr::MCOUNTEREN, csr::HCOUNTEREN, csr::SCOUNTEREN] {
            hart.set_csr(number, 2);
        }
        hart.set_csr(csr::HTIMEDELTA, if mode.v() { delta } else { 12_345 });
        // rdtime a0 at tick 77.
        hart.ram().write(Pa(BASE), 0xc010_2573u32).expect("RAM");
        hart.set_mode(mode);
        hart.set_pc(BASE);
        hart.set_cycle(7_700);
        hart.step_logged(&mut Lines::none(), &mut |_| {});
        assert_eq!(hart.x(10), delta.wrapping_add(77), "{mode}");
    }
}

// norm: vsstatus_fs_op, vsstatus_sd_xs_op, mstatus_fs_vs_xs_update_indep_priv, mstatus_fs_wr
#[test]
fn a_guest_that_changes_fp_state_dirties_both_fields() {
    let fs = |hart: &Hart, number| isa::field::get(hart.csr(number).unwrap(), mstatus::FS);
    // FMV.D.X fa0, zero; CSRRWI x0, fflags, 1; FLD fa0, 0(s0).
    for word in [0xf200_0553u32, 0x0010_d073, 0x0004_3507] {
        for (mode, vs_after) in [(Mode::VS, 3), (Mode::VU, 3), (Mode::S, 1), (Mode::M, 1)] {
            let mut hart = prepared();
            hart.set_csr(csr::MSTATUS, 2 << mstatus::FS_SHIFT);
            hart.set_csr(csr::VSSTATUS, 1 << mstatus::FS_SHIFT);
            hart.set_x(8, BASE + 0x100);
            hart.ram().write(Pa(BASE), word).expect("RAM");
            hart.set_mode(mode);
            hart.set_pc(BASE);
            hart.step_logged(&mut Lines::none(), &mut |event| {
                assert!(matches!(event, cpu::Event::Commit(_)), "{event:?}");
            });
            let after = (fs(&hart, csr::MSTATUS), fs(&hart, csr::VSSTATUS));
            assert_eq!(after, (3, vs_after), "{word:#x} in {mode}");
            let vs_sd = hart.csr(csr::VSSTATUS).unwrap() >> 63;
            assert_eq!(vs_sd, u64::from(vs_after == 3));
        }
    }
}
