//! Machines with the cycles of a core under a debugger.

use debug::End;
use isa::Pa;
use isa::asm::Program;
use machine::{Machine, Stop};

use crate::rig::{BASE, EXIT, Say, Went, at, converse, machine_of, monitor};

fn packets(texts: &[String]) -> Vec<Say> {
    texts.iter().map(|text| Say::Packet(text.as_bytes().to_vec())).collect()
}

/// Two harts race for a word in code without jumps, which is one run: a turn ends behind it, hundreds of cycles beyond what the turn was
/// given. Who is halted there goes on there, before it is the other one's turn.
#[test]
fn a_hart_that_is_halted_beyond_its_turn_ends_it() {
    let race = "ld t1, 0(s2); add s4, s4, t1; xor t1, t1, s0; addi t1, t1, 1; sd t1, 0(s2)\n";
    let source = format!(
        "csrr s0, mhartid; la s2, data; li s3, 150
         top: {} stop: {}
         addi s3, s3, -1; bnez s3, top
         slli t0, s0, 3; add t0, t0, s2; sd s4, 8(t0)
         beqz s0, exit
         rest: wfi; j rest
         {EXIT}
         .align 3
         data: .zero 24",
        race.repeat(50),
        race.repeat(50)
    );
    let labels = Program::assemble(BASE, &source).expect("the program assembles").labels;
    let state = |machine: &Machine| {
        let word = |index: u64| machine.ram().read::<u64>(Pa(labels["data"] + 8 * index));
        let harts = machine.harts().iter().map(|hart| (hart.cycle(), hart.model_counts()));
        ([0, 1, 2].map(word), harts.collect::<Vec<_>>())
    };
    for core in ["cva6", "u74"] {
        let ends = |says: &[String], plainly: bool| {
            let mut machine = machine_of(&source, 2, Some(core));
            if plainly {
                machine.model_plainly();
            }
            let went = converse(&mut machine, packets(says));
            assert_eq!(went.end, End::Stop(Stop::Exit { code: 0 }));
            (state(&machine), went.replies.len())
        };
        let (free, _) = ends(&["D".into()], false);
        let (plain, _) = ends(&["D".into()], true);
        assert!(free == plain, "{core}: {free:?}, one by one {plain:?}");
        let mut says = vec![format!("Z0,{:x},4", labels["stop"])];
        says.resize(500, "vCont;c".into());
        let (stopped, halts) = ends(&says, false);
        assert!(halts > 300, "{halts}: each pass of each hart");
        assert!(stopped == free, "{core}: {stopped:?}, {free:?}");
    }
}

/// The numbers of a line that `info counts` printed.
fn row(went: &Went, packet: usize, name: &str) -> Option<[u64; 2]> {
    let text = went.text(packet);
    let line = text.lines().find(|line| line.starts_with(&format!("{name}  ")))?;
    let mut numbers = line.split_whitespace().rev().map(|word| word.parse().expect("a number"));
    let since = numbers.next()?;
    Some([numbers.next()?, since])
}

/// On CVA6, independent arithmetic takes a cycle, and the first load of a line misses: its user waits for memory, 10 cycles and more.
#[test]
fn what_an_instruction_took_is_counted_between_two_questions() {
    let source = "addi a0, a0, 1
        top: addi a1, a1, 1
        addi a2, a2, 1
        add s0, s0, s1
        ld a3, 0(s0)
        add a4, a3, a3
        j top";
    let (ask, step) = (monitor("info counts"), "vCont;s:1".to_owned());
    let mut says = vec![
        ask.clone(),
        // Five passes, then the loads go to a line of their own.
        format!("P8={}", crate::talk::word(BASE + 0x1000)),
        format!("Z0,{:x},4", at(1)),
    ];
    says.resize(says.len() + 6, "vCont;c".into());
    says.push(format!("P9={}", crate::talk::word(0x1000)));
    let asked = says.len();
    for _ in 0..5 {
        says.extend([ask.clone(), step.clone()]);
    }
    says.push(ask);
    let went = converse(&mut machine_of(source, 1, Some("cva6")), packets(&says));
    assert_eq!(row(&went, 0, "Retired instructions"), None, "nothing has happened");
    assert_eq!(row(&went, asked, "Retired instructions"), Some([1 + 5 * 6; 2]));
    let since = |insns: usize, name| row(&went, asked + 2 * insns, name).map(|row| row[1]);
    for insns in 1..=5 {
        assert_eq!(since(insns, "Retired instructions"), Some(1));
        let misses = since(insns, "Data cache: loads that missed");
        assert_eq!(misses, Some(u64::from(insns == 4)), "{insns}");
        let cycles = since(insns, "Cycles").expect("they pass");
        assert_eq!(cycles > 10, insns == 5, "{insns}: {cycles} cycles");
        assert!(insns != 2 || cycles == 1, "{cycles}");
    }
    let without = converse(&mut machine_of(source, 1, None), packets(&[monitor("info counts")]));
    assert!(without.text(0).contains("an instruction is a cycle"));
}
