# Golden values of tests/unit/stats/test_golden_intervals.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/intervals.R      (run in the repository's root)
# Writes intervals_results.csv (svyciprop, all methods, with what goes into them) and
# intervals_replicates.csv (the replicate shares behind the replicate designs) beside this script.
suppressMessages(library(survey))
options(digits = 17, survey.lonely.psu = "adjust")
set.seed(40911)
folder <- "tests/golden"

rows <- do.call(rbind, lapply(1:4, function(h) do.call(rbind, lapply(1:(4 + h), function(j) {
  m <- sample(2:6, 1)
  data.frame(h = h, psu = 100 * h + j, N = 20 * h + 10, w = (20 * h + 10) / (4 + h) * runif(m, 0.7, 1.6))
}))))
n <- nrow(rows)
rows$d <- sample(c("A", "B", "C"), n, TRUE, c(0.6, 0.3, 0.1))
rows$common <- rbinom(n, 1, 0.55)
rows$rare <- rbinom(n, 1, 0.06)
rows$most <- rbinom(n, 1, 0.93)
rows$cell <- sample(c("p", "q"), n, TRUE)

taylor <- svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = rows)
designs <- list(
  clusters = taylor,
  rows = svydesign(ids = ~1, weights = ~w, data = rows),
  post = postStratify(taylor, ~cell, data.frame(cell = c("p", "q"), Freq = c(170, 150))),
  jkn = as.svrepdesign(taylor, type = "JKn", compress = FALSE),
  boot = as.svrepdesign(taylor, type = "subbootstrap", replicates = 30, compress = FALSE))

number <- function(v) ifelse(is.nan(v), "NaN", ifelse(is.na(v), "", sprintf("%.17g", v)))
out <- list()
replicates <- list()
for (name in names(designs)) for (domain in c("all", "A", "B", "C")) for (y in c("common", "rare", "most")) {
  part <- designs[[name]]
  if (domain != "all") part <- subset(part, d == domain)
  formula <- as.formula(paste0("~", y))
  is_replicate <- inherits(part, "svyrep.design")
  mean_y <- svymean(formula, part, return.replicates = is_replicate)
  if (is_replicate) {
    replicates[[length(replicates) + 1]] <- data.frame(
      design = name, domain = domain, y = y, r = seq_along(mean_y$replicates), scale = part$scale,
      rscale = rep_len(part$rscales, length(mean_y$replicates)), share = number(as.numeric(mean_y$replicates)))
  }
  w <- weights(part, "sampling")
  used <- sum(w != 0)
  for (level in c(0.8, 0.95, 0.99)) {
    row <- data.frame(design = name, domain = domain, y = y, level = level, p = as.numeric(coef(mean_y)),
                      var = as.numeric(vcov(mean_y)), df = degf(part), n = used, rows = nrow(part),
                      kish = used * sum(w^2) / sum(w)^2)
    for (method in c("logit", "xlogit", "beta", "asin", "mean", "likelihood")) {
      ci <- tryCatch(suppressWarnings(attr(svyciprop(formula, part, method = method, level = level), "ci")),
                     error = function(e) c(NA, NA))
      row[[paste0(method, "_low")]] <- as.numeric(ci[1])
      row[[paste0(method, "_high")]] <- as.numeric(ci[2])
    }
    out[[length(out) + 1]] <- row
  }
}
result <- do.call(rbind, out)
numbers <- sapply(result, is.numeric)
result[numbers] <- lapply(result[numbers], number)
write.csv(result, file.path(folder, "intervals_results.csv"), row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, replicates), file.path(folder, "intervals_replicates.csv"), row.names = FALSE, quote = FALSE)
