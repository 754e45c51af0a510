//! The hand-shake: `Hello`, then `Welcome` or `Reject`.

use super::{Frame, FrameError, Kind, OpenFrame, Reader, put_bytes8, put_bytes16};
use crate::id::{NodeId, Partition, PartitionCount, ShardId};

/// Who a client is and which versions it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The lowest version that the client speaks.
    pub version_min: u8,
    /// The highest version that the client speaks.
    pub version_max: u8,
    /// The account's name.
    pub account: &'a str,
    /// The account's key.
    pub key: &'a str,
}

impl<'a> Hello<'a> {
    /// Reads the body.
    ///
    /// # Errors
    /// [`FrameError`] when it is not a hello.
    pub fn read(frame: Frame<'a>) -> Result<Self, FrameError> {
        let mut body = Reader::new(Kind::Hello, frame.body);
        let hello = Self {
            version_min: body.u8()?,
            version_max: body.u8()?,
            account: body.text8()?,
            key: body.text8()?,
        };
        body.end()?;
        Ok(hello)
    }

    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let open = OpenFrame::begin(Kind::Hello, 0, out);
        out.extend_from_slice(&[self.version_min, self.version_max]);
        put_bytes8(self.account.as_bytes(), out);
        put_bytes8(self.key.as_bytes(), out);
        open.close(out);
    }
}

/// What the server grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// How many submissions may be unanswered at a time.
    pub credits: u32,
    /// The node that speaks.
    pub node: NodeId,
    /// How many partitions there are.
    pub partitions: PartitionCount,
    /// The port of each shard: partition `p` is served without a crossing at `ports[p % ports.len()]`.
    pub ports: Vec<u16>,
}

impl Welcome {
    /// Reads the body.
    ///
    /// # Errors
    /// [`FrameError`] when it is not a welcome.
    pub fn read(frame: Frame<'_>) -> Result<Self, FrameError> {
        let mut body = Reader::new(Kind::Welcome, frame.body);
        let credits = body.u32()?;
        let node = NodeId(body.u32()?);
        let partitions = PartitionCount::new(body.u16()?)
            .ok_or(FrameError::Field(Kind::Welcome, "expected 16 to 512 partitions"))?;
        let shards = body.u16()?;
        let ports = (0..shards).map(|_| body.u16()).collect::<Result<Vec<_>, _>>()?;
        body.end()?;
        Ok(Self { credits, node, partitions, ports })
    }

    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let open = OpenFrame::begin(Kind::Welcome, 0, out);
        out.extend_from_slice(&self.credits.to_le_bytes());
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.extend_from_slice(&self.partitions.count().to_le_bytes());
        let shards = u16::try_from(self.ports.len()).expect("a node has fewer shards than ports exist");
        out.extend_from_slice(&shards.to_le_bytes());
        for port in &self.ports {
            out.extend_from_slice(&port.to_le_bytes());
        }
        open.close(out);
    }

    /// The port that serves a partition without a crossing between cores.
    #[must_use]
    pub fn port_of(&self, partition: Partition) -> Option<u16> {
        let shards = u16::try_from(self.ports.len()).ok().filter(|&shards| shards > 0)?;
        self.ports.get(usize::from(ShardId::owner_of(partition, shards).0)).copied()
    }
}

/// Why the server closes the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject<'a> {
    /// 1 version, 2 account or key, 3 a frame that could not be read, 4 credits overspent, 5 too many connections, 6 the node is stopping.
    pub code: u16,
    /// The same in words.
    pub reason: &'a str,
}

impl<'a> Reject<'a> {
    /// Neither side's versions include the other's.
    pub const VERSION: u16 = 1;
    /// No such account, or not its key.
    pub const CREDENTIALS: u16 = 2;
    /// A frame that could not be read.
    pub const FRAME: u16 = 3;
    /// More submissions unanswered than there were credits.
    pub const CREDITS: u16 = 4;
    /// The node has as many connections as it takes.
    pub const CONNECTIONS: u16 = 5;
    /// The node is stopping.
    pub const STOPPING: u16 = 6;

    /// Reads the body.
    ///
    /// # Errors
    /// [`FrameError`] when it is not a reject.
    pub fn read(frame: Frame<'a>) -> Result<Self, FrameError> {
        let mut body = Reader::new(Kind::Reject, frame.body);
        let reject = Self { code: body.u16()?, reason: body.text16()? };
        body.end()?;
        Ok(reject)
    }

    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let open = OpenFrame::begin(Kind::Reject, 0, out);
        out.extend_from_slice(&self.code.to_le_bytes());
        put_bytes16(self.reason.as_bytes(), out);
        open.close(out);
    }
}
