//! Cycle models, fed with events; they know nothing of the engine
