//! How a command ends: the exit statuses of the contract.

/// The exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// Done, and the answer is good.
    Good,
    /// Done, and the answer is not good.
    NotGood,
    /// The command could not be carried out.
    Failed,
    /// Done, but the evidence does not cover what was asked.
    NotProven,
}

impl ExitStatus {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::NotGood => 1,
            Self::Failed => 2,
            Self::NotProven => 3,
        }
    }
}
