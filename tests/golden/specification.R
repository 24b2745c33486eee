# Golden values of tests/unit/estimation/test_golden_results.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/specification.R      (run in the repository's root)
# Two stages, PSU labels that start anew in each stratum, missing values, weights of 0, a text measure; a domain with
# every interval, plain and calibrated. Writes specification_data.csv and specification_results.csv beside this script.
suppressMessages(library(survey))
set.seed(20261124)
d <- expand.grid(k = 1:4, p = 1:5, h = c("a", "b", "c"))
d$N <- c(a = 20, b = 9, c = 5)[as.character(d$h)]
d$N2 <- 6
d$w <- round(runif(nrow(d), 1, 9), 2)
d$v <- d$w
d$w[c(3, 17, 40)] <- 0
d$y <- rbinom(nrow(d), 1, 0.4)
d$y[c(5, 6, 30)] <- NA
d$z <- round(rnorm(nrow(d), 50, 10), 1)
d$z[9] <- NA
d$x <- round(runif(nrow(d), 1, 5), 1)
d$g <- sample(c("u", "v"), nrow(d), TRUE)
d$t <- sample(c("low", "mid", "high"), nrow(d), TRUE)
d$t[2] <- NA
write.csv(d, "tests/golden/specification_data.csv", row.names = FALSE, quote = FALSE)
out <- list()
add <- function(design, statistic, name, value) {
  out[[length(out) + 1]] <<- data.frame(design, statistic, name, value = sprintf("%.17g", as.numeric(value)))
}
make <- function(weights) svydesign(~p + k, strata = ~h, weights = weights, fpc = ~N + N2, data = d, nest = TRUE)
vector <- c(`(Intercept)` = 300, gv = 140, x = 930)
designs <- list(plain = make(~w),
  calibrated = calibrate(make(~v), ~ g + x, vector, calfun = "raking", epsilon = 1e-13, maxit = 500))
for (design in names(designs)) {
  D <- designs[[design]]
  U <- subset(D, g == "u" & !is.na(y))
  for (m in c("xlogit", "beta", "asin", "mean")) {
    r <- suppressWarnings(svyciprop(~y, U, method = m, na.rm = TRUE))
    add(design, "y", "estimate", r)
    add(design, "y", paste0("ci_", m, "_low"), attr(r, "ci")[1])
    add(design, "y", paste0("ci_", m, "_high"), attr(r, "ci")[2])
  }
  S <- subset(D, g == "u" & !is.na(z))
  r <- svyratio(~z, ~x, S, deff = TRUE, na.rm = TRUE)
  add(design, "ratio", "estimate", coef(r))
  add(design, "ratio", "se", SE(r))
  add(design, "ratio", "deff", deff(r))
  q <- svyquantile(~z, S, c(0.25, 0.5), qrule = "hf7", interval.type = "xlogit", na.rm = TRUE)[[1]]
  for (i in 1:2) {
    add(design, c("q25", "q50")[i], "estimate", q[i, 1])
    add(design, c("q25", "q50")[i], "ci_xlogit_low", q[i, 2])
    add(design, c("q25", "q50")[i], "ci_xlogit_high", q[i, 3])
    add(design, c("q25", "q50")[i], "se", q[i, 4])
  }
  T <- subset(D, g == "u" & !is.na(t))
  r <- svymean(~t, T, deff = TRUE, na.rm = TRUE)
  for (level in c("high", "low", "mid")) {
    add(design, level, "estimate", coef(r)[paste0("t", level)])
    add(design, level, "se", SE(r)[paste0("t", level)])
    add(design, level, "deff", deff(r)[paste0("t", level)])
  }
}
write.csv(unique(do.call(rbind, out)), "tests/golden/specification_results.csv", row.names = FALSE, quote = FALSE)
