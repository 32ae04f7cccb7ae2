//! Translation as the manual tells it, written down once more and as plainly as possible: memory is an array,
//! addresses are numbers, nothing is shared with the crate under test but the meaning of its inputs.

use isa::Privilege;
use mmu::{Access, Kind, TranslationCsrs};

pub(crate) const RAM_BASE: u64 = 0x8000_0000;

/// How an access fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    Page,
    GuestPage { gpa: u64, implicit: &'static str },
    Access,
}

/// The machine that the naive walker sees.
#[derive(Clone)]
pub(crate) struct Machine {
    /// Doublewords from RAM_BASE on.
    pub(crate) ram: Vec<u64>,
    pub(crate) csrs: TranslationCsrs,
    /// pmpcfg and pmpaddr, as written; without locks.
    pub(crate) pmp: Vec<(u8, u64)>,
    pub(crate) svnapot: bool,
    pub(crate) svpbmt: bool,
    pub(crate) svadu: bool,
}

/// Where a translation ends up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) pa: u64,
    /// At V=1.
    pub(crate) gpa: Option<u64>,
    /// The memory type's encoding in a PTE.
    pub(crate) pbmt: u64,
}

/// `hi` and `lo` as the manual writes a field.
fn field(value: u64, hi: u32, lo: u32) -> u64 {
    let mut result = 0;
    for bit in (lo..=hi).rev() {
        result = result * 2 + (value >> bit) % 2;
    }
    result
}

fn bit(value: u64, n: u32) -> bool {
    field(value, n, n) == 1
}

/// The VPN fields of an address, highest first.
fn vpn_fields(levels: u64) -> Vec<(u32, u32)> {
    let all = [(56, 48), (47, 39), (38, 30), (29, 21), (20, 12)];
    all[5 - levels as usize..].to_vec()
}

struct StageRules {
    atp: u64,
    guest_stage: bool,
    vs_stage: bool,
    user: bool,
    sum: bool,
    mxr: bool,
    adue: bool,
    pbmte: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Want {
    Read,
    ReadByExecute,
    Write,
    Execute,
}

impl Machine {
    fn in_ram(&self, pa: u64, len: u64) -> bool {
        pa >= RAM_BASE && pa + len <= RAM_BASE + 8 * self.ram.len() as u64
    }

    fn pmp_range(&self, n: usize) -> Option<(u64, u64)> {
        let (cfg, addr) = self.pmp[n];
        match field(cfg.into(), 4, 3) {
            0 => None,
            1 => {
                let low = if n == 0 { 0 } else { self.pmp[n - 1].1 * 4 };
                Some((low, addr * 4))
            }
            2 => Some((addr * 4, addr * 4 + 4)),
            _ => {
                let mut ones = 0;
                while ones < 54 && bit(addr, ones) {
                    ones += 1;
                }
                let size = 1u128 << (ones + 3);
                let base = (u128::from(addr) * 4) / size * size;
                Some((base as u64, (base + size) as u64))
            }
        }
    }

    /// Below M, which these tests do not leave for checks of PMP; `bits` of RWX.
    fn pmp_allows(&self, pa: u64, len: u64, bits: u8) -> bool {
        for n in 0..self.pmp.len() {
            let Some((low, high)) = self.pmp_range(n) else { continue };
            let matching = (pa..pa + len).filter(|&byte| low <= byte && byte < high).count() as u64;
            if matching == len {
                return self.pmp[n].0 & bits == bits;
            }
            if matching > 0 {
                return false;
            }
        }
        false
    }

    /// A PTE in physical memory.
    fn load_pte(&self, pa: u64) -> Result<u64, Trouble> {
        if !self.in_ram(pa, 8) || !self.pmp_allows(pa, 8, 1) {
            return Err(Trouble::Access);
        }
        Ok(self.ram[((pa - RAM_BASE) / 8) as usize])
    }

    fn store_pte(&mut self, pa: u64, value: u64) -> Result<(), Trouble> {
        if !self.in_ram(pa, 8) || !self.pmp_allows(pa, 8, 2) {
            return Err(Trouble::Access);
        }
        self.ram[((pa - RAM_BASE) / 8) as usize] = value;
        Ok(())
    }

    /// Where the PTE at this address of the stage's own space lies physically.
    fn locate(&mut self, rules: &StageRules, at: u64, want: Want) -> Result<u64, Trouble> {
        if !rules.vs_stage {
            return Ok(at);
        }
        let name = if want == Want::Write { "write" } else { "read" };
        self.guest_physical(at, want, name).map(|(pa, _)| pa)
    }

    /// One stage: the address, and the leaf's PBMT. `Err(None)` is that stage's own page fault.
    fn stage(
        &mut self,
        rules: &StageRules,
        address: u64,
        want: Want,
        implicit: bool,
    ) -> Result<(u64, u64), Option<Trouble>> {
        let levels = match field(rules.atp, 63, 60) {
            0 => return Ok((address, 0)),
            8 => 3,
            9 => 4,
            10 => 5,
            other => panic!("MODE {other}"),
        };
        let mut fields = vpn_fields(levels);
        let top = fields[0].0;
        if rules.guest_stage {
            fields[0].0 += 2;
            if field(address, 63, top + 3) != 0 {
                return Err(None);
            }
        } else {
            for n in top..=63 {
                if bit(address, n) != bit(address, top) {
                    return Err(None);
                }
            }
        }
        let mut a = field(rules.atp, 43, 0) * 4096;
        for (step, &(hi, lo)) in fields.iter().enumerate() {
            let i = fields.len() - 1 - step;
            let at = a + field(address, hi, lo) * 8;
            let pa = self.locate(rules, at, Want::Read).map_err(Some)?;
            let pte = self.load_pte(pa).map_err(Some)?;
            let (v, r, w, x) = (bit(pte, 0), bit(pte, 1), bit(pte, 2), bit(pte, 3));
            let (u, accessed, dirty) = (bit(pte, 4), bit(pte, 6), bit(pte, 7));
            let mut ppn = field(pte, 53, 10);
            let (n, pbmt) = (bit(pte, 63), field(pte, 62, 61));
            if !v || (!r && w) || field(pte, 60, 54) != 0 {
                return Err(None);
            }
            let pbmte = rules.pbmte && self.svpbmt;
            if pbmt != 0 && !pbmte || pbmt == 3 || n && !self.svnapot {
                return Err(None);
            }
            if !r && !x {
                if u || accessed || dirty || pbmt != 0 || n || i == 0 {
                    return Err(None);
                }
                a = ppn * 4096;
                continue;
            }
            // A leaf.
            if n {
                if i != 0 || field(ppn, 3, 0) != 8 {
                    return Err(None);
                }
                ppn = ppn / 16 * 16 + field(address, 15, 12);
            }
            let superpage = 512u64.pow(i as u32);
            if !ppn.is_multiple_of(superpage) {
                return Err(None);
            }
            let user_access = rules.user || rules.guest_stage;
            if user_access && !u {
                return Err(None);
            }
            if !user_access && u && (want == Want::Execute || !rules.sum) {
                return Err(None);
            }
            let mxr = rules.mxr && !(rules.guest_stage && implicit);
            let allowed = match want {
                Want::Read => r || (x && mxr),
                Want::Write => w,
                Want::Execute | Want::ReadByExecute => x,
            };
            if !allowed {
                return Err(None);
            }
            if !accessed || (want == Want::Write && !dirty) {
                if !(rules.adue && self.svadu) {
                    return Err(None);
                }
                let pa = self.locate(rules, at, Want::Write).map_err(Some)?;
                let set = if want == Want::Write { 0xc0 } else { 0x40 };
                self.store_pte(pa, pte | set).map_err(Some)?;
            }
            return Ok(((ppn + address / 4096 % superpage) * 4096 + address % 4096, pbmt));
        }
        unreachable!("level 0 is a leaf or a fault")
    }

    fn guest_physical(
        &mut self,
        gpa: u64,
        want: Want,
        implicit: &'static str,
    ) -> Result<(u64, u64), Trouble> {
        let rules = StageRules {
            atp: self.csrs.hgatp,
            guest_stage: true,
            vs_stage: false,
            user: true,
            sum: false,
            mxr: self.csrs.mxr,
            adue: self.csrs.adue,
            pbmte: self.csrs.pbmte,
        };
        let result = self.stage(&rules, gpa, want, implicit != "no");
        result.map_err(|trouble| trouble.unwrap_or(Trouble::GuestPage { gpa, implicit }))
    }

    /// Translates; A and D are set in `ram`.
    pub(crate) fn translate(&mut self, va: u64, access: Access) -> Result<Place, Trouble> {
        let want = match access.kind {
            Kind::Fetch => Want::Execute,
            Kind::Load if access.hlvx => Want::ReadByExecute,
            Kind::Load => Want::Read,
            Kind::Store | Kind::Amo => Want::Write,
        };
        let csrs = self.csrs;
        let first = StageRules {
            atp: if access.v { csrs.vsatp } else { csrs.satp },
            guest_stage: false,
            vs_stage: access.v,
            user: access.privilege == Privilege::U,
            sum: if access.v { csrs.vs_sum } else { csrs.sum },
            mxr: csrs.mxr || (access.v && csrs.vs_mxr),
            adue: if access.v { csrs.vs_adue } else { csrs.adue },
            pbmte: if access.v { csrs.vs_pbmte } else { csrs.pbmte },
        };
        let out = self.stage(&first, va, want, false);
        let (out, outer) = out.map_err(|trouble| trouble.unwrap_or(Trouble::Page))?;
        let (pa, gpa, inner) = if access.v {
            let (pa, inner) = self.guest_physical(out, want, "no")?;
            (pa, Some(out), inner)
        } else {
            (out, None, 0)
        };
        let rwx = match access.kind {
            Kind::Fetch => 4,
            Kind::Load => {
                if access.hlvx {
                    5
                } else {
                    1
                }
            }
            Kind::Store => 2,
            Kind::Amo => 3,
        };
        if !self.in_ram(pa, access.size.into()) || !self.pmp_allows(pa, access.size.into(), rwx) {
            return Err(Trouble::Access);
        }
        let pbmt = if outer != 0 { outer } else { inner };
        Ok(Place { pa, gpa, pbmt })
    }
}
