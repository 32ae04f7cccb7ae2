//! Things on a bus: UART, ACLINT, PLIC, RTC, finisher, virtio-mmio
