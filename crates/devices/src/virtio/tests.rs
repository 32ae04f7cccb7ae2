//! Laws of the transport and of the queue, and what drivers get that break them.

use super::rig::{BASE, BUFFERS, RAM_BYTES, Rig, Row};
use super::spec::desc::{INDIRECT, NEXT, WRITE};
use super::spec::{feature, interrupt, reg, status};
use super::*;
use crate::{Device, Dma, Entropy, Sink};
use isa::Pa;
use mmu::Ram;
use std::sync::Arc;

fn rng() -> Rng {
    Rng::new(Entropy::new(1))
}

fn deaf() -> Box<dyn Sink> {
    Box::new(|_: &[u8]| {})
}

/// An entropy source with indirect descriptors, whose driver offers one chain at descriptor 0.
fn offer(rows: &[Row]) -> Rig<Rng> {
    let mut rig = Rig::running(rng(), feature::INDIRECT_DESC);
    rig.table(rows);
    rig.offer(0);
    rig
}

#[test]
fn identity_and_vacant_registers() {
    let mut rig = Rig::untouched(rng());
    assert_eq!(rig.get(reg::MAGIC_VALUE).to_le_bytes(), *b"virt");
    assert_eq!((rig.get(reg::VERSION), rig.get(reg::DEVICE_ID)), (2, 4));
    assert_eq!(rig.get(reg::SHM_LEN_LOW), u32::MAX);
    assert_eq!(rig.get(0x0d0), 0);
    let mut empty = EmptySlot;
    assert_eq!(empty.read(reg::MAGIC_VALUE, 4, Ticks(0)), Ok(0x7472_6976));
    assert_eq!(empty.read(reg::DEVICE_ID, 4, Ticks(0)), Ok(0));
}

#[test]
fn registers_are_words_and_configuration_may_be_narrower() {
    let mut rig = Rig::untouched(Console::new(deaf()));
    assert!(rig.device.read(reg::MAGIC_VALUE, 1, Ticks(0)).is_err());
    assert!(rig.device.read(reg::MAGIC_VALUE, 8, Ticks(0)).is_err());
    assert_eq!(rig.device.read(reg::CONFIG, 1, Ticks(0)), Ok(80));
    assert_eq!(rig.device.read(reg::CONFIG + 2, 2, Ticks(0)), Ok(25));
    assert_eq!(rig.device.read(reg::CONFIG, 4, Ticks(0)), Ok(25 << 16 | 80));
    assert_eq!(rig.device.read(reg::CONFIG + 0xefc, 4, Ticks(0)), Ok(0));
    assert!(rig.device.read(reg::CONFIG + 1, 2, Ticks(0)).is_err());
}

#[test]
fn features_ok_needs_version_1_and_nothing_that_was_not_offered() {
    let mut rig = Rig::untouched(rng());
    rig.negotiate(feature::INDIRECT_DESC);
    assert_eq!(rig.get(reg::STATUS), 3);
    rig.negotiate(feature::VERSION_1 | 1 << 40);
    assert_eq!(rig.get(reg::STATUS), 3);
    rig.negotiate(feature::VERSION_1);
    assert_eq!(rig.get(reg::STATUS), 0xb);
}

#[test]
fn offered_features_come_in_two_halves_and_no_more() {
    let mut rig = Rig::untouched(rng());
    let halves = [0, 1, 2].map(|half| {
        rig.set(reg::DEVICE_FEATURES_SEL, half);
        rig.get(reg::DEVICE_FEATURES)
    });
    assert_eq!(halves, [1 << 28 | 1 << 29, 1, 0]);
}

#[test]
fn accepted_features_are_frozen_by_features_ok() {
    let mut rig = Rig::untouched(rng());
    rig.negotiate(feature::VERSION_1);
    rig.set(reg::DRIVER_FEATURES_SEL, 1);
    rig.set(reg::DRIVER_FEATURES, 0xffff_ffff);
    rig.set_up(0);
    rig.set(reg::STATUS, 0xf);
    assert!(!rig.needs_reset());
    rig.table(&[(BUFFERS, 8, WRITE, 0)]);
    rig.offer(0);
    assert_eq!(rig.used_index(0), 1);
}

#[test]
fn a_driver_adds_status_bits_and_only_0_takes_them_away() {
    let mut rig = Rig::running(rng(), 0);
    rig.set(reg::STATUS, 1);
    assert_eq!(rig.get(reg::STATUS), 0xf);
    rig.set(reg::STATUS, 0xffff_ffff);
    assert_eq!(rig.get(reg::STATUS), 0xf | status::FAILED);
    rig.set(reg::STATUS, 0);
    assert_eq!(rig.get(reg::STATUS), 0);
}

#[test]
fn a_queue_that_does_not_exist_has_size_0() {
    let mut rig = Rig::untouched(rng());
    assert_eq!(rig.get(reg::QUEUE_NUM_MAX), 16);
    rig.set(reg::QUEUE_SEL, 1);
    assert_eq!((rig.get(reg::QUEUE_NUM_MAX), rig.get(reg::QUEUE_READY)), (0, 0));
    rig.set(reg::QUEUE_READY, 1);
    assert_eq!(rig.get(reg::QUEUE_READY), 0);
    rig.set(reg::QUEUE_NOTIFY, u32::MAX);
}

#[test]
fn a_queue_in_use_keeps_its_place() {
    let mut rig = Rig::running(rng(), 0);
    rig.place(0, 0, 0, 0);
    rig.table(&[(BUFFERS, 8, WRITE, 0)]);
    rig.offer(0);
    assert_eq!(rig.used_entry(0, 0), (0, 8));
}

#[test]
fn a_used_buffer_interrupts_until_acknowledged() {
    let mut rig = offer(&[(BUFFERS, 8, WRITE, 0)]);
    assert!(rig.device.irq());
    assert_eq!(rig.get(reg::INTERRUPT_STATUS), interrupt::USED);
    rig.set(reg::INTERRUPT_ACK, interrupt::USED);
    assert!(!rig.device.irq());
}

#[test]
fn no_interrupt_where_the_driver_wants_none() {
    let mut rig = Rig::running(rng(), 0);
    rig.ram.write_u16(rig.avail(0, 0), 1).unwrap();
    rig.table(&[(BUFFERS, 8, WRITE, 0)]);
    rig.offer(0);
    assert_eq!(rig.used_index(0), 1);
    assert!(!rig.device.irq());
}

#[test]
fn event_idx_interrupts_exactly_when_the_index_passes() {
    let mut rig = Rig::running(rng(), feature::EVENT_IDX);
    rig.table(&[(BUFFERS, 8, WRITE, 0)]);
    rig.set_used_event(1);
    rig.offer(0);
    assert!(!rig.device.irq()); // used index 1: not past 1 yet
    assert_eq!(rig.avail_event(), 1);
    rig.offer(0);
    assert!(rig.device.irq());
    rig.set(reg::INTERRUPT_ACK, 1);
    rig.offer(0);
    assert!(!rig.device.irq()); // it passed once
    rig.set_used_event(4);
    rig.make_available(0, 0);
    rig.offer(0);
    assert!(rig.device.irq()); // 3 to 5 in one go passes 4
}

#[test]
fn indices_wrap_at_16_bits() {
    let mut rig = Rig::running(rng(), 0);
    rig.table(&[(BUFFERS, 1, WRITE, 0)]);
    for _ in 0..0x1_0003 {
        rig.offer(0);
    }
    assert_eq!(rig.used_index(0), 3);
    assert!(!rig.needs_reset());
}

#[test]
fn buffers_are_served_when_the_driver_gets_in_place() {
    let mut rig = Rig::untouched(rng());
    rig.negotiate(feature::VERSION_1);
    rig.set_up(0);
    rig.table(&[(BUFFERS, 8, WRITE, 0)]);
    rig.offer(0);
    assert_eq!(rig.used_index(0), 0);
    rig.set(reg::STATUS, 0xf);
    assert_eq!(rig.used_index(0), 1);
}

#[test]
fn a_change_of_configuration_is_told_and_counted() {
    let mut rig = Rig::running(Console::new(deaf()), 0);
    let before = rig.get(reg::CONFIG_GENERATION);
    rig.device.change_config(|console| console.resize(132, 50));
    assert_ne!(rig.get(reg::CONFIG_GENERATION), before);
    assert_eq!(rig.get(reg::INTERRUPT_STATUS), interrupt::CONFIG);
    assert_eq!(rig.get(reg::CONFIG), 50 << 16 | 132);
}

#[test]
fn indirect_chains_are_followed() {
    let mut rig = Rig::running(rng(), feature::INDIRECT_DESC);
    rig.table(&[
        (BUFFERS, 4, WRITE | NEXT, 3),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (BUFFERS + 0x1000, 48, INDIRECT, 0),
    ]);
    rig.table_at(
        BUFFERS + 0x1000,
        &[(BUFFERS + 8, 8, WRITE | NEXT, 2), (0, u32::MAX, WRITE, 0), (BUFFERS + 16, 4, WRITE, 0)],
    );
    rig.offer(0);
    assert_eq!(rig.used_entry(0, 0), (0, 16));
}

#[test]
fn cycles_end_in_a_reset() {
    let cycles: [&[Row]; 3] = [
        &[(BUFFERS, 8, WRITE | NEXT, 0)],
        &[(BUFFERS, 8, WRITE | NEXT, 1), (BUFFERS, 8, WRITE | NEXT, 0)],
        &[(BUFFERS, 0, WRITE | NEXT, 0)],
    ];
    for rows in cycles {
        offer(rows).assert_needs_reset(&format!("{rows:x?}"));
    }
}

#[test]
fn a_cycle_in_a_huge_indirect_table_is_cut_short() {
    let mut rig = Rig::running(rng(), feature::INDIRECT_DESC);
    rig.table(&[(BUFFERS, 0xffff_fff0, INDIRECT, 0)]);
    rig.table_at(BUFFERS, &[(BUFFERS, 1, WRITE | NEXT, 0)]);
    rig.offer(0);
    rig.assert_needs_reset("huge indirect table");
}

#[test]
fn descriptors_beyond_their_table_or_ram_end_in_a_reset() {
    let end = BASE + RAM_BYTES;
    let bad: [Row; 8] = [
        (BUFFERS, 8, WRITE | NEXT, 8),
        (BUFFERS, 8, WRITE | NEXT, 0xffff),
        (end, 1, WRITE, 0),
        (end - 7, 8, WRITE, 0),
        (BASE - 1, 2, WRITE, 0),
        (BUFFERS, u32::MAX, WRITE, 0),
        (u64::MAX, 2, WRITE, 0),
        (u64::MAX - 0xffff_fffe, u32::MAX, 0, 0),
    ];
    for row in bad {
        offer(&[row]).assert_needs_reset(&format!("{row:x?}"));
    }
}

#[test]
fn bad_indirect_descriptors_end_in_a_reset() {
    let bad: [Row; 6] = [
        (BUFFERS, 0, INDIRECT, 0),
        (BUFFERS, 17, INDIRECT, 0),
        (BUFFERS, 16, INDIRECT | NEXT, 0),
        (BASE + RAM_BYTES - 8, 16, INDIRECT, 0),
        (u64::MAX - 7, 32, INDIRECT, 0),
        (BUFFERS, 16, INDIRECT, 0), // holds an indirect descriptor itself
    ];
    for row in bad {
        let mut rig = Rig::running(rng(), feature::INDIRECT_DESC);
        rig.table_at(BUFFERS, &[(BUFFERS, 16, INDIRECT, 0)]);
        rig.table(&[row]);
        rig.offer(0);
        rig.assert_needs_reset(&format!("{row:x?}"));
    }
    let mut rig = Rig::running(rng(), 0);
    rig.table_at(BUFFERS, &[(BUFFERS + 64, 16, WRITE, 0)]);
    rig.table(&[(BUFFERS, 16, INDIRECT, 0)]);
    rig.offer(0);
    rig.assert_needs_reset("indirect without having agreed on it");
}

#[test]
fn a_readable_buffer_after_a_writable_one_ends_in_a_reset() {
    offer(&[(BUFFERS, 8, WRITE | NEXT, 1), (BUFFERS, 8, 0, 0)]).assert_needs_reset("order");
}

#[test]
fn a_chain_of_4_gib_ends_in_a_reset() {
    let mut rig = Rig::with_queue_size(Console::new(deaf()), feature::INDIRECT_DESC, 64);
    let rows: Vec<Row> =
        (1..=300).map(|n| (BASE, RAM_BYTES as u32, if n < 300 { NEXT } else { 0 }, n)).collect();
    rig.table_at(BUFFERS, &rows);
    rig.table_at(BASE + 0x1_0000, &[(BUFFERS, 300 * 16, INDIRECT, 0)]);
    rig.offer_to(1, 0);
    rig.assert_needs_reset("300 times 16 MiB");
}

#[test]
fn a_jump_of_the_available_index_ends_in_a_reset() {
    for index in [9, 0x7fff, 0xffff] {
        let mut rig = Rig::running(rng(), 0);
        rig.table(&[(BUFFERS, 8, WRITE, 0)]);
        rig.set_avail_index(0, index);
        rig.set(reg::QUEUE_NOTIFY, 0);
        rig.assert_needs_reset(&format!("index {index}"));
    }
}

#[test]
fn a_head_beyond_the_queue_ends_in_a_reset() {
    let mut rig = Rig::running(rng(), 0);
    rig.offer(8);
    rig.assert_needs_reset("head 8 of 8");
}

#[test]
fn queues_that_cannot_be_are_not_put_into_use() {
    let sizes = [0, 3, 32, 0x1_0000, u32::MAX];
    for size in sizes {
        let mut rig = Rig::untouched(rng());
        rig.negotiate(feature::VERSION_1);
        rig.place(0, BASE, BASE + 0x1000, BASE + 0x2000);
        rig.set(reg::QUEUE_NUM, size);
        rig.set(reg::QUEUE_READY, 1);
        assert_eq!(rig.get(reg::QUEUE_READY), 0, "size {size}");
        assert!(rig.needs_reset(), "size {size}");
    }
    let end = BASE + RAM_BYTES;
    let places = [
        (BASE + 8, BASE + 0x1000, BASE + 0x2000),
        (BASE, BASE + 0x1001, BASE + 0x2000),
        (BASE, BASE + 0x1000, BASE + 0x2002),
        (end - 16, BASE + 0x1000, BASE + 0x2000),
        (BASE, end - 20, BASE + 0x2000),
        (BASE, BASE + 0x1000, end - 68),
        (0, BASE + 0x1000, BASE + 0x2000),
        (u64::MAX - 15, u64::MAX - 1, u64::MAX - 3),
    ];
    for (desc, avail, used) in places {
        let mut rig = Rig::untouched(rng());
        rig.negotiate(feature::VERSION_1);
        rig.place(0, desc, avail, used);
        rig.set(reg::QUEUE_READY, 1);
        assert_eq!(rig.get(reg::QUEUE_READY), 0, "{desc:#x} {avail:#x} {used:#x}");
    }
}

#[test]
fn a_device_that_needs_a_reset_does_nothing_until_it_gets_one() {
    let mut rig = offer(&[(0, 8, WRITE, 0)]);
    rig.assert_needs_reset("address 0");
    rig.table(&[(BUFFERS, 8, WRITE, 0)]);
    rig.offer(0);
    assert_eq!(rig.used_index(0), 0);
    rig.negotiate(feature::VERSION_1);
    assert!(!rig.device.irq());
    rig.set_avail_index(0, 1);
    rig.set_up(0);
    rig.set(reg::STATUS, 0xf);
    assert_eq!(rig.used_index(0), 1);
}

/// The device's own writes to the used ring then make more and more available.
#[test]
fn a_used_ring_over_the_available_ring_is_survived() {
    let mut rig = Rig::untouched(rng());
    rig.negotiate(feature::VERSION_1);
    rig.table(&[(BUFFERS, 8, WRITE, 0)]);
    rig.place(0, BASE, BASE + 0x1000, BASE + 0x1000);
    rig.set(reg::QUEUE_READY, 1);
    rig.set(reg::STATUS, 0xf);
    rig.ram.write_u16(Pa(BASE + 0x1002), 8).unwrap();
    rig.set(reg::QUEUE_NOTIFY, 0);
    assert_eq!(rig.ram.read_u16(Pa(BASE + 0x1002)), Ok(1));
}

#[test]
fn an_entropy_request_is_filled_up_to_the_limit() {
    let mut rig = offer(&[(BUFFERS, 1 << 20, WRITE, 0)]);
    assert_eq!(rig.used_entry(0, 0), (0, 1 << 16));
    let mut expected = vec![0; 1 << 16];
    Entropy::new(1).fill(&mut expected);
    assert_eq!(rig.bytes(BUFFERS, 1 << 16), expected);
    rig.table(&[(BUFFERS, 8, 0, 0)]);
    rig.offer(0);
    assert_eq!(rig.used_entry(0, 1), (0, 0));
}

#[test]
fn console_input_waits_for_buffers_and_is_bounded() {
    let mut rig = Rig::running(Console::new(deaf()), 0);
    let serial = rig.device.serial().unwrap();
    assert_eq!(serial.push(&[b'x'; 5000], Ticks(0)), console::BACKLOG_BYTES);
    assert_eq!(serial.push(b"y", Ticks(0)), 0);
    rig.table(&[(BUFFERS, 4000, WRITE, 0)]);
    rig.offer(0);
    rig.offer(0);
    assert_eq!(rig.used_entry(0, 0), (0, 4000));
    assert_eq!(rig.used_entry(0, 1), (0, 96));
    rig.offer(0);
    assert_eq!(rig.used_index(0), 2); // nothing to say
    assert_eq!(rig.device.serial().unwrap().push(b"!", Ticks(0)), 1);
    assert_eq!(rig.used_index(0), 3); // what was waiting is used at once
    assert_eq!(rig.bytes(BUFFERS, 1), b"!");
}

#[test]
fn frames_that_find_no_room_are_dropped_and_the_rest_is_bounded() {
    let net = Net::new([2, 0, 0, 0, 0, 1], Box::new(net::NullNet));
    let mut rig = Rig::running(net, 0);
    let network = rig.device.network().unwrap();
    assert!(!network.push_frame(&vec![0; net::FRAME_BYTES_MAX + 1], Ticks(0)));
    assert!(network.push_frame(&[1; 100], Ticks(0)));
    assert!(network.push_frame(&[2; 20], Ticks(0)));
    rig.table(&[(BUFFERS, 64, WRITE, 0)]);
    rig.offer(0);
    // The first frame did not fit; the buffer went to the second.
    assert_eq!((rig.used_index(0), rig.used_entry(0, 0)), (1, (0, 32)));
    assert_eq!(rig.bytes(BUFFERS, 14), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2]);
    let network = rig.device.network().unwrap();
    let taken = (0..1000).filter(|_| network.push_frame(&[0; 60], Ticks(0))).count();
    assert_eq!(taken, net::BACKLOG_FRAMES);
    rig.table_at(BASE + 0x1_0000, &[(BUFFERS, 11, 0, 0)]);
    rig.offer_to(1, 0);
    rig.assert_needs_reset("a frame without a whole header");
}

/// Random registers, random rings, random descriptors: whatever happens, it ends and is in bounds.
#[test]
fn no_driver_can_break_a_device() {
    for seed in 0..200 {
        let mut e = Entropy::new(seed);
        let ram = Arc::new(Ram::new(Pa(BASE), 0x4000).unwrap());
        let memory: Arc<dyn Dma> = ram.clone();
        let disk = blk::Overlay::in_memory(Box::new(blk::tests::Zeros(1 << 20)), 1 << 16);
        let mut devices: [Box<dyn Device>; 4] = [
            Box::new(Mmio::new(rng(), memory.clone())),
            Box::new(Mmio::new(Console::new(deaf()), memory.clone())),
            Box::new(Mmio::new(Net::new([0; 6], Box::new(net::NullNet)), memory.clone())),
            Box::new(Mmio::new(Block::new(Box::new(disk), "fuzz"), memory)),
        ];
        let device = &mut devices[seed as usize % 4];
        let mut set = |register, value| device.write(register, 4, value, Ticks(0)).unwrap();
        for _ in 0..30 {
            set(reg::STATUS, 0);
            set(reg::DRIVER_FEATURES_SEL, 1);
            set(reg::DRIVER_FEATURES, 1);
            set(reg::DRIVER_FEATURES_SEL, 0);
            set(reg::DRIVER_FEATURES, e.next_u64() & 0x3000_0000);
            set(reg::STATUS, 0xb);
            set(reg::QUEUE_NUM, 8);
            for (n, low) in [reg::QUEUE_DESC_LOW, reg::QUEUE_DRIVER_LOW, reg::QUEUE_DEVICE_LOW]
                .into_iter()
                .enumerate()
            {
                set(low, BASE + 0x400 * (n as u64 + e.next_u64() % 2));
            }
            set(reg::QUEUE_READY, 1);
            set(reg::STATUS, 0xf);
            for _ in 0..20 {
                // Descriptors whose fields are each likely to make sense.
                for row in 0..64 {
                    let r = e.next_u64();
                    let addr = if r & 7 == 0 { e.next_u64() } else { BASE + (r >> 8) % 0x4000 };
                    let len = if r & 0x70 == 0 { r >> 32 } else { (r >> 40) % 0x200 };
                    let (flags, next) = ((r >> 20) & 7, (r >> 24) % 9);
                    ram.write_u64(Pa(BASE + 16 * row), addr).unwrap();
                    let word = len & 0xffff_ffff | flags << 32 | next << 48;
                    ram.write_u64(Pa(BASE + 16 * row + 8), word).unwrap();
                }
                ram.write_u16(Pa(BASE + 0x402), (e.next_u64() % 12) as u16).unwrap();
                for slot in 0..8 {
                    let head = (e.next_u64() % 9) as u16;
                    ram.write_u16(Pa(BASE + 0x404 + 2 * slot), head).unwrap();
                }
                set(reg::QUEUE_NOTIFY, 0);
                set(e.next_u64() % 0x3f * 4, e.next_u64() >> 40);
            }
        }
    }
}
