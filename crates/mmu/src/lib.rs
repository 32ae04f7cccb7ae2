//! From an address to bytes: the walker, TLBs, fences, PMP, guest RAM
