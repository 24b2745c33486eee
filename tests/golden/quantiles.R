# Golden values of tests/unit/stats/test_golden_quantiles.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/quantiles.R      (run in the repository's root)
# Writes quantiles_data.csv, quantiles_replicates.csv (analysis weights) and quantiles_results.csv beside this script.
suppressMessages(library(survey))
options(digits = 17, survey.lonely.psu = "average")
set.seed(60233)
folder <- "tests/golden"
number <- function(v) ifelse(is.nan(v), "NaN", ifelse(is.na(v), "", sprintf("%.17g", v)))

# Three strata of clusters, the fourth with one; second-stage units within clusters. y has ties, z next to none.
rows <- do.call(rbind, lapply(1:4, function(h) do.call(rbind, lapply(seq_len(if (h == 4) 1 else 4 + h), function(j) {
  m <- sample(3:6, 1)
  data.frame(h = h, psu = 100 * h + j, ssu = 1000 * h + 10 * j + seq_len(m), N1 = 12 + 3 * h, N2 = 3 * m,
             w = (12 + 3 * h) / (4 + h) * 3 * (if (h == 2) 1 else runif(1, 0.6, 1.7)))
}))))
n <- nrow(rows)
rows$w[sample(n, 4)] <- 0
rows$d <- sample(c("A", "B"), n, TRUE, c(0.7, 0.3))
rows$cell <- sample(c("p", "q", "r"), n, TRUE)
rows$y <- ifelse(runif(n) < 0.06, NA, round(rexp(n, 0.15)))
rows$z <- round(exp(rnorm(n, 3, 1)), 6)
several <- subset(rows, h != 4)
write.csv(rows, file.path(folder, "quantiles_data.csv"), row.names = FALSE, quote = FALSE, na = "")

clusters <- svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N1, data = several)
cells <- data.frame(cell = c("p", "q", "r"), Freq = c(190, 240, 210))
boot <- as.svrepdesign(clusters, type = "subbootstrap", replicates = 25, compress = FALSE)
designs <- list(
  rows = svydesign(ids = ~1, weights = ~w, data = several),
  clusters = clusters,
  stages = svydesign(ids = ~psu + ssu, strata = ~h, weights = ~w, fpc = ~ N1 + N2, data = several),
  lonely = svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N1, data = rows),
  post = postStratify(clusters, ~cell, cells),
  jkn = as.svrepdesign(clusters, type = "JKn", compress = FALSE),
  boot = boot)
# One line a replicate: its scale and the weight of each row of the strata with several clusters.
weights_of <- function(name) {
  part <- designs[[name]]
  w <- t(matrix(as.numeric(weights(part, "analysis")), nrow = nrow(several)))
  colnames(w) <- paste0("row", seq_len(ncol(w)))
  data.frame(design = name, scale = number(part$scale), rscale = number(rep_len(part$rscales, nrow(w))),
             apply(w, 2, number))
}
write.csv(rbind(weights_of("jkn"), weights_of("boot")), file.path(folder, "quantiles_replicates.csv"),
          row.names = FALSE, quote = FALSE)

rules <- c("math", "school", "shahvaish", paste0("hf", 1:9))
p <- c(0.01, 0.1, 0.5, 0.8, 0.97)
out <- list()
for (name in names(designs)) for (domain in c("all", "A", "B")) for (y in c("y", "z")) for (level in c(0.9, 0.95)) {
  part <- designs[[name]]
  if (domain != "all") part <- subset(part, d == domain)
  is_replicate <- inherits(part, "svyrep.design")
  intervals <- if (is_replicate) c("mean", "quantile") else c("mean", "beta", "xlogit", "asin", "score")
  for (interval in intervals) for (rule in rules) {
    if ((level == 0.9 || interval == "score") && !(rule %in% c("math", "hf7"))) next
    for (one in if (interval == "score") p[2:4] else p) {
      found <- tryCatch(suppressWarnings(suppressMessages(
        svyquantile(as.formula(paste0("~", y)), part, one, alpha = 1 - level, interval.type = interval, qrule = rule,
                    na.rm = TRUE)[[1]])), error = function(e) NULL)
      if (is.null(found)) next  # no root of the score test
      out[[length(out) + 1]] <- data.frame(
        design = name, domain = domain, y = y, level = level, interval = interval, rule = rule, p = one,
        quantile = found[1], low = found[2], high = found[3], se = found[4])
    }
  }
}
result <- do.call(rbind, out)
numbers <- c("quantile", "low", "high", "se")
result[numbers] <- lapply(result[numbers], number)
write.csv(result, gzfile(file.path(folder, "quantiles_results.csv.gz")), row.names = FALSE, quote = FALSE)
