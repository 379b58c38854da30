//! Lists, which are complete unless `--limit` cuts them; then a line says that there are more entries.

/// Number of entries to read: one more than the limit, to know whether there are more.
pub fn asked(limit: Option<u32>) -> u32 {
    limit.map_or(u32::MAX, |limit| limit.saturating_add(1))
}

/// Cuts a list to its limit; returns whether there was more.
pub fn cut<T>(entries: &mut Vec<T>, limit: Option<u32>) -> bool {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let more = entries.len() > limit;
    entries.truncate(limit);
    more
}

/// The line below a list that was cut.
pub const MORE: &str = "there are older entries: leave out --limit to list all";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_tells_whether_there_is_more() {
        let cut = |entries: usize, limit| {
            let mut list = vec![0; entries];
            list.truncate(usize::try_from(asked(limit)).unwrap());
            let more = cut(&mut list, limit);
            (list.len(), more)
        };
        assert_eq!(cut(71, None), (71, false));
        assert_eq!(cut(71, Some(70)), (70, true));
        assert_eq!(cut(71, Some(71)), (71, false));
        assert_eq!(cut(71, Some(u32::MAX)), (71, false));
        assert_eq!(cut(0, Some(1)), (0, false));
    }
}
