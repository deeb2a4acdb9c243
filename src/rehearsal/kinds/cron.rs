//! Schedules of CronJobs: whether they can be read, and what the server says where not.
//!
//! Source: robfig/cron v3 `parser.go`, as Kubernetes calls it.

/// The five fields and the numbers they may have.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// The names of the time zone database in order, one a line: those of Go's `lib/time/zoneinfo.zip`.
const ZONES: &str = include_str!("zones.txt");

/// Whether a name is that of a time zone; `Local` is one too.
pub(super) fn is_zone(name: &str) -> bool {
    name == "Local" || !name.is_empty() && ZONES.lines().any(|zone| zone == name)
}

/// Reads a schedule.
pub(super) fn parse(schedule: &str) -> Result<(), String> {
    let mut rest = schedule;
    if rest.starts_with("TZ=") || rest.starts_with("CRON_TZ=") {
        let Some(space) = rest.find(' ') else {
            return Err(format!(
                "failed to parse cron expression {schedule:?}: runtime error: slice bounds out of \
                 range [:-1]"
            ));
        };
        let zone = &rest[rest.find('=').map_or(0, |at| at + 1)..space];
        if !is_zone(zone) && !zone.is_empty() {
            return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        rest = rest[space..].trim();
    }
    if rest.is_empty() {
        return Err("empty spec string".into());
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        ));
    }
    for (field, (min, max, names)) in fields.iter().zip(FIELDS) {
        for part in field.split(',').filter(|part| !part.is_empty()) {
            range(part, min, max, names)?;
        }
    }
    Ok(())
}

fn descriptor(text: &str) -> Result<(), String> {
    let known = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if known.contains(&text) {
        return Ok(());
    }
    if let Some(length) = text.strip_prefix("@every ") {
        let units = ["h", "m", "s", "ms", "us", "ns", "µs"];
        let mut rest = length.trim_start_matches(['-', '+']);
        let mut any = false;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let tail = &rest[digits..];
            let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            if digits == 0 || !units.contains(&&tail[..unit]) {
                any = false;
                break;
            }
            any = true;
            rest = &tail[unit..];
        }
        if any || length == "0" {
            return Ok(());
        }
        return Err(format!("failed to parse duration {text}: time: invalid duration {length:?}"));
    }
    Err(format!("unrecognized descriptor: {text}"))
}

fn range(part: &str, min: u32, max: u32, names: &[&str]) -> Result<(), String> {
    let steps: Vec<&str> = part.split('/').collect();
    let ends: Vec<&str> = steps[0].split('-').collect();
    let single = ends.len() == 1;
    let any = matches!(ends[0], "*" | "?");
    let (start, mut end) = if any {
        (min, max)
    } else {
        let start = number(ends[0], min, names)?;
        match *ends {
            [_] => (start, start),
            [_, end] => (start, number(end, min, names)?),
            _ => return Err(format!("too many hyphens: {part}")),
        }
    };
    match *steps {
        [_] => {}
        [_, step] => {
            let step = plain(step)?;
            if single && !any {
                end = max;
            }
            if step == 0 {
                check_bounds(part, start, end, min, max)?;
                return Err(format!("step of range should be a positive number: {part}"));
            }
        }
        _ => return Err(format!("too many slashes: {part}")),
    }
    check_bounds(part, start, end, min, max)
}

fn check_bounds(part: &str, start: u32, end: u32, min: u32, max: u32) -> Result<(), String> {
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {part}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {part}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    Ok(())
}

fn number(text: &str, min: u32, names: &[&str]) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match names.iter().position(|name| *name == lower) {
        Some(at) => Ok(min + u32::try_from(at).unwrap_or(0)),
        None => plain(text),
    }
}

fn plain(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return Err(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"
        ));
    }
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Err(_) => Err(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: value out of range"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_those_of_the_database() {
        for zone in ["UTC", "Local", "Etc/GMT+2", "America/Argentina/Buenos_Aires"] {
            assert!(is_zone(zone), "{zone}");
        }
        for zone in ["", "Etc", "Etc/UTC2", "etc/UTC", "Europe/Atlantis", "UTC\nZulu"] {
            assert!(!is_zone(zone), "{zone}");
        }
    }

    #[test]
    fn schedules_are_read_as_the_server_does() {
        for good in
            ["*/5 * * * *", "0 0 1,15 jan-mar MON", "@daily", "@every 1h30m", "5/10 * * * *"]
        {
            assert_eq!(parse(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("every day", "expected exactly 5 fields, found 2: [every day]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("@never", "unrecognized descriptor: @never"),
        ] {
            assert_eq!(parse(bad), Err(why.to_owned()), "{bad}");
        }
    }
}
