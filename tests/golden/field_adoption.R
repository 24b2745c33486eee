# Golden values of tests/unit/stats/test_golden_fields.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/field_adoption.R      (run in the repository's root)
# Institutions drawn by stratum, post-stratified by sector; each serves some of three fields. In R a field's rate
# is a ratio of totals over institutions, sum(w a_f)/sum(w b_f): a_f AI in operation in the field, b_f answered for
# it, s_f serves it. The number of adopters is a_f/b_f x s_f, its SE by the delta method on the three totals.
# The same for an employment-weighted share. Writes field_data.csv and field_results.csv.
# Item non-response (reports/decisions/0005): institutions that serve a field and gave no answer for it were asked but
# not observed, so f = n/N of a stratum is multiplied by r, the share of the field's institutions in the stratum that
# answered. R has no such rule; it is given the population N/r, which makes 1 - n/N into 1 - r n/N. The number of
# institutions that serve a field does not depend on the answers: its variance, and the design's part of the adopters'
# variance, keep N; the adopters' variance gets s_f^2 times what N/r adds to the variance of the rate.
suppressMessages(library(survey))
options(digits = 17)
set.seed(412)
folder <- "tests/golden"
n_h <- c(s1 = 14, s2 = 11, s3 = 6)
N_h <- c(s1 = 60, s2 = 30, s3 = 6)
data <- data.frame(stratum = rep(names(n_h), n_h))
n <- nrow(data)
data$unit_id <- sprintf("%07d", seq_len(n))
data$N <- N_h[data$stratum]
data$base <- data$N / n_h[data$stratum]
data$sector <- ifelse(data$stratum == "s3", "P3", sample(c("P1", "P2"), n, TRUE))
data$employment <- round(exp(rnorm(n, 5, 0.7)))
data$out <- as.integer(runif(n) < 0.08 & data$stratum != "s3")  # out of scope: keeps its weight, in no domain
totals <- c(P1 = 52, P2 = 38, P3 = 6)
for (f in c("F1", "F2", "F3")) {
  serves <- as.integer(runif(n) < 0.6) * (1 - data$out)
  answer <- ifelse(serves == 1, ifelse(runif(n) < 0.12, 8, ifelse(runif(n) < 0.45, 1, 2)), NA)
  data[[f]] <- answer
}
write.csv(data[c("unit_id", "stratum", "N", "base", "sector", "employment", "out", "F1", "F2", "F3")],
          file.path(folder, "field_data.csv"), row.names = FALSE, na = "")
out <- list()
for (f in c("F1", "F2", "F3")) for (weighting in c("unit", "employment")) {
  size <- if (weighting == "unit") rep(1, n) else data$employment
  answer <- data[[f]]
  data$s <- as.numeric(!is.na(answer)) * size
  data$b <- as.numeric(answer %in% c(1, 2)) * size
  data$a <- as.numeric(answer %in% 1) * size
  with_population <- function(N) {
    data$population <- N
    postStratify(svydesign(ids = ~unit_id, strata = ~stratum, weights = ~base, fpc = ~population, data = data), ~sector,
                 data.frame(sector = names(totals), Freq = totals))
  }
  serving <- tapply(!is.na(answer), data$stratum, sum)
  answering <- tapply(answer %in% c(1, 2), data$stratum, sum)
  design <- with_population(data$N)
  observed <- with_population(data$N * as.vector((serving / answering)[data$stratum]))
  three <- svytotal(~a + b + s, design)
  rate <- svyratio(~a, ~b, observed)
  adopters <- svycontrast(three, quote(a / b * s))
  item <- vcov(rate)[1, 1] - vcov(svyratio(~a, ~b, design))[1, 1]
  out[[length(out) + 1]] <- data.frame(
    field = f, unit_weighting = weighting, df = degf(subset(design, answer %in% c(1, 2))),
    estimate = coef(rate), se = SE(rate), population = coef(three)[["s"]],
    adopters = coef(adopters), adopters_se = sqrt(vcov(adopters)[1, 1] + coef(three)[["s"]]^2 * item),
    row.names = NULL)
}
result <- do.call(rbind, out)
numbers <- sapply(result, is.numeric)
result[numbers] <- lapply(result[numbers], function(v) sprintf("%.17g", v))
write.csv(result, file.path(folder, "field_results.csv"), row.names = FALSE, quote = FALSE)
