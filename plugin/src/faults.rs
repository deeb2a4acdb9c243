//! `--fault`: what is to go wrong in a rehearsal, as people write it.

use std::fmt::Display;
use std::str::FromStr;

use overlay::rehearsal::controllers::{PodFault, Trouble};
use overlay::rehearsal::{self, Outage};

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// With pods.
    Pods(PodFault),
    /// With requests.
    Requests(rehearsal::Fault),
}

/// How long a slow pod takes to become ready, and how long a busy server asks to wait, in seconds.
const SLOW: u64 = 60;
const BUSY: u32 = 1;

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut options = Options::read(rest)?;
        let fault = match kind {
            "crash-loop" => Self::pods(Trouble::CrashLoop, &mut options),
            "image-pull" => Self::pods(Trouble::ImagePull, &mut options),
            "unschedulable" => Self::pods(Trouble::Unschedulable, &mut options),
            "slow" => {
                let seconds = options.number("seconds", SLOW)?;
                Self::pods(Trouble::Slow(seconds), &mut options)
            }
            "409" => Self::requests(Outage::Conflict, &mut options)?,
            "429" => {
                let seconds = options.number("seconds", BUSY)?;
                Self::requests(Outage::Busy { seconds }, &mut options)?
            }
            "500" => Self::requests(Outage::Broken, &mut options)?,
            "503" => Self::requests(Outage::Away, &mut options)?,
            "504" => Self::requests(Outage::Lost, &mut options)?,
            _ => {
                return Err("known are crash-loop, image-pull, unschedulable, slow, 409, 429, 500, 503, 504".into());
            }
        };
        options.end(kind)?;
        Ok(fault)
    }
}

impl Fault {
    fn pods(trouble: Trouble, options: &mut Options<'_>) -> Self {
        let pod = options.take("pod").unwrap_or_default();
        let (namespace, prefix) = pod.split_once('/').unwrap_or(("", pod));
        Self::Pods(PodFault { namespace: namespace.into(), prefix: prefix.into(), trouble })
    }

    fn requests(outage: Outage, options: &mut Options<'_>) -> Result<Self, String> {
        let method = options.take("method").map(str::to_ascii_uppercase);
        let method = method.map(|method| method.parse().map_err(|_| "no such method".to_owned()));
        Ok(Self::Requests(rehearsal::Fault {
            method: method.transpose()?,
            path: options.take("path").unwrap_or_default().into(),
            after: options.number("after", 0)?,
            times: options.number("times", 1)?,
            outage,
        }))
    }
}

/// What is said beside the kind: `KEY=VALUE`, apart by commas.
struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let pair =
            |part: &'a str| part.split_once('=').ok_or(format!("\"{part}\" is no KEY=VALUE"));
        parts.map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(found, _)| *found == key)?;
        Some(self.0.remove(at).1)
    }

    fn number<T: FromStr + Display>(&mut self, key: &str, default: T) -> Result<T, String> {
        let Some(text) = self.take(key) else { return Ok(default) };
        text.parse().map_err(|_| format!("{key}=\"{text}\" is no number that fits"))
    }

    /// Refuses what nobody took.
    fn end(&self, kind: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("\"{kind}\" knows no \"{key}\", or not twice")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_by_namespace_and_the_beginning_of_their_name() {
        let Ok(Fault::Pods(fault)) = "slow:pod=shop/web,seconds=5".parse() else { panic!() };
        assert_eq!((&*fault.namespace, &*fault.prefix), ("shop", "web"));
        assert_eq!(fault.trouble, Trouble::Slow(5));
        let Ok(Fault::Pods(fault)) = "crash-loop:pod=web".parse() else { panic!() };
        assert_eq!((&*fault.namespace, &*fault.prefix), ("", "web"));
    }

    #[test]
    fn requests_are_named_by_method_and_a_part_of_their_path() {
        let text = "429:method=patch,path=/deployments/,after=2,times=3,seconds=7";
        let Ok(Fault::Requests(fault)) = text.parse() else { panic!() };
        assert_eq!(fault.method.map(|method| method.to_string()).as_deref(), Some("PATCH"));
        assert_eq!((&*fault.path, fault.after, fault.times), ("/deployments/", 2, 3));
        assert_eq!(fault.outage, Outage::Busy { seconds: 7 });
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["", "418", "500:pod=a", "slow:seconds=x", "500:times", "500:times=1,times=2"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
