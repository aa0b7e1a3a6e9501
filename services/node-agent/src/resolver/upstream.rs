//! Passing a question on to a name server, by the way that it came.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use watari_model::network::MOST_DNS;

use super::{PORT, message::Question};

/// Whoever this machine asks stands there.
pub(crate) const RESOLV: &str = "/etc/resolv.conf";
/// How long one name server may take. Two of them are asked in less than the five seconds after which a resolver asks again.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest answer that is taken by UDP, in bytes. Name servers send far less, and the rest by TCP.
const LARGEST: usize = 8_192;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Udp,
    Tcp,
}

/// The name servers of the machine itself; none if its file has none.
pub(super) async fn of_this_machine() -> Vec<IpAddr> {
    named_in(&tokio::fs::read_to_string(RESOLV).await.unwrap_or_default())
}

fn named_in(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        words.next()?.parse().ok()
    });
    servers.take(MOST_DNS).collect()
}

/// What the first of these name servers says that answers.
///
/// # Errors
/// Why the last of them did not.
pub(super) async fn ask(servers: &[IpAddr], question: &Question<'_>, way: Way) -> io::Result<Vec<u8>> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "there is no name server to be asked");
    for server in servers {
        let server = SocketAddr::from((*server, PORT));
        let asked = async {
            match way {
                Way::Udp => by_udp(server, question).await,
                Way::Tcp => by_tcp(server, question).await,
            }
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("{server} does not answer"));
        match timeout(PATIENCE, asked).await.map_err(late).flatten() {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn by_udp(server: SocketAddr, question: &Question<'_>) -> io::Result<Vec<u8>> {
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Each question has a port of its own, so that whoever would answer in the server's place must guess it.
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(server).await?;
    socket.send(question.message()).await?;
    let mut answer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut answer).await?;
        if question.is_answered_by(&answer[..length]) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &Question<'_>) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write(&mut stream, question.message()).await?;
    let answer = read(&mut stream, usize::from(u16::MAX)).await?;
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("{server} answers another question"));
    question.is_answered_by(&answer).then_some(answer).ok_or_else(wrong)
}

/// Reads one message of at most so many bytes, which has its length before it (RFC 1035, section 4.2.2).
///
/// # Errors
/// The connection ends or breaks, or the message would be longer.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes is announced")));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message, likewise.
///
/// # Errors
/// The connection breaks, or the message is longer than its length can say.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_read_as_it_was_written_and_none_that_is_longer_than_may_be() {
        let mut wire: Vec<u8> = Vec::new();
        write(&mut wire, b"question").await.unwrap();
        assert_eq!(read(&mut &wire[..], 8).await.unwrap(), b"question");
        assert_eq!(read(&mut &wire[..], 7).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&mut &wire[..9], 8).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(write(&mut wire, &vec![0; 65_536]).await.is_err());
    }

    #[test]
    fn the_machines_name_servers_are_read_from_its_file() {
        let text = "# nameserver 192.0.2.1\nsearch example.jp\nnameserver 192.0.2.53\nnameserver\t2001:db8::53\n\
            nameserver fe80::1%eth0\nnameserver\nnameserver 192.0.2.54\nnameserver 192.0.2.55\n";
        let expected: [IpAddr; 3] = [[192, 0, 2, 53].into(), "2001:db8::53".parse().unwrap(), [192, 0, 2, 54].into()];
        assert_eq!(named_in(text), expected);
        assert_eq!(named_in(""), [] as [IpAddr; 0]);
    }
}
