//! Time as a parameter: the only file that reads the clocks of the machine.
