//! The server's own figures, from its metrics page.

use crate::Failure;
use crate::wire::Wire;

/// A metrics page in the Prometheus text format.
#[derive(Debug)]
pub(crate) struct Page(String);

/// Fetches the page.
pub(crate) fn scrape(address: &str) -> Result<Page, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut wire = Wire::connect(address).await?;
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let reply = wire.exchange(request.as_bytes()).await?;
        if reply.status != 200 {
            return Err(format!("/metrics answered {}", reply.status).into());
        }
        Ok(Page(String::from_utf8(reply.body.to_vec())?))
    })
}

impl Page {
    /// The sum of all series of a metric that have all of these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.series(name)
            .filter(|(found, _)| labels.iter().all(|label| found.contains(label)))
            // Not `sum`: that of nothing is -0.
            .fold(0.0, |sum, (_, value)| sum + value)
    }

    /// A quantile of a histogram, as the upper bound of its bucket, in seconds.
    pub(crate) fn quantile(&self, name: &str, quantile: f64) -> Option<f64> {
        let mut buckets: Vec<(f64, f64)> = self
            .series(&format!("{name}_bucket"))
            .filter_map(|(labels, count)| {
                let bound = labels.split_once("le=\"")?.1.split('"').next()?;
                Some((bound.parse().unwrap_or(f64::INFINITY), count))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wanted = buckets.last()?.1 * quantile;
        buckets
            .into_iter()
            .find(|(_, count)| *count >= wanted && *count > 0.0)
            .map(|(bound, _)| bound)
    }

    fn series(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let whole_name = labels.is_empty() || labels.starts_with('{');
            whole_name.then_some((labels, value.parse().ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_quantiles_are_read() {
        let page = Page(
            "# TYPE ops_total counter\nops_total{op=\"reserve\",outcome=\"ok\"} 5\n\
             ops_total{op=\"reserve\",outcome=\"insufficient\"} 2\nops_total_other 9\n\
             sync_bucket{le=\"0.001\"} 50\nsync_bucket{le=\"0.01\"} 99\nsync_bucket{le=\"+Inf\"} 100\n"
                .to_owned(),
        );
        let same = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(same(page.sum("ops_total", &["op=\"reserve\""]), 7.0));
        assert!(same(page.sum("ops_total", &["outcome=\"ok\""]), 5.0));
        assert!(same(page.quantile("sync", 0.5).unwrap(), 0.001));
        assert!(same(page.quantile("sync", 0.99).unwrap(), 0.01));
        assert!(page.quantile("sync", 0.999).unwrap().is_infinite());
        assert_eq!(page.quantile("none", 0.5), None);
    }
}
