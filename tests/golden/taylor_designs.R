# Golden values of tests/unit/stats/test_golden_designs.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/taylor_designs.R      (run in the repository's root)
# Writes taylor_data.csv and taylor_results.csv beside this script.
suppressMessages(library(survey))
options(digits = 17, survey.adjust.domain.lonely = FALSE)
set.seed(8211)
folder <- "tests/golden"

# Six strata: two of clusters, one of which is taken whole (h6), one with a single PSU out of five (h5).
sizes <- list(h1 = 6, h2 = 5, h3 = 4, h4 = 3, h5 = 1, h6 = 4)
population <- c(h1 = 40, h2 = 30, h3 = 12, h4 = 50, h5 = 5, h6 = 4)
rows <- do.call(rbind, lapply(names(sizes), function(h) {
  do.call(rbind, lapply(seq_len(sizes[[h]]), function(j) {
    m <- sample(1:5, 1)
    data.frame(h = h, psu = paste0(h, "-", j), N = population[[h]],
               w = population[[h]] / sizes[[h]] * (if (h == "h6") 1 else runif(m, 0.8, 1.25)), m = seq_len(m))
  }))
}))
n <- nrow(rows)
rows$id <- sprintf("u%03d", seq_len(n))
rows$d <- sample(c("A", "B", "C"), n, TRUE, c(0.5, 0.35, 0.15))
rows$g <- sample(c("p", "q", "r"), n, TRUE)
rows$x <- round(exp(rnorm(n, 3, 0.8)))
rows$y <- ifelse(runif(n) < 0.1, NA, rbinom(n, 1, 0.4))
rows$yx <- rows$y * rows$x
rows$yy <- ifelse(is.na(rows$y), 0, rows$y)  # for svyciprop on subsets without the missing rows
totals <- c(p = 130, q = 110, r = 120)
write.csv(rows[c("id", "h", "psu", "N", "w", "d", "g", "x", "y")], file.path(folder, "taylor_data.csv"),
          row.names = FALSE, na = "")

# N counts PSUs; the unit-level design uses 8 times as many units.
rows$units <- rows$N * 8
several <- subset(rows, h != "h5")
designs <- list(
  units = list(quote(svydesign(ids = ~id, strata = ~h, weights = ~w, fpc = ~units, data = several)), "fail"),
  clusters = list(quote(svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = several)), "fail"),
  clusters_nofpc = list(quote(svydesign(ids = ~psu, strata = ~h, weights = ~w, data = several)), "fail"))
for (rule in c("adjust", "average", "certainty", "remove")) {
  designs[[paste0("clusters_", rule)]] <-
    list(quote(svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = rows)), rule)
}
post <- quote(postStratify(svydesign(ids = ~id, strata = ~h, weights = ~w, fpc = ~units, data = several), ~g,
                           data.frame(g = names(totals), Freq = totals)))
designs$units_post <- list(post, "fail")
designs$units_calibrate <- list(
  quote(calibrate(svydesign(ids = ~id, strata = ~h, weights = ~w, fpc = ~units, data = several), ~ g - 1,
                  c(gp = 130, gq = 110, gr = 120))), "fail")
designs$clusters_post_average <- list(
  quote(postStratify(svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = rows), ~g,
                     data.frame(g = names(totals), Freq = totals))), "average")

out <- list()
for (name in names(designs)) {
  options(survey.lonely.psu = designs[[name]][[2]])
  whole <- eval(designs[[name]][[1]])
  for (domain in c("all", "A", "B", "C")) {
    part <- if (domain == "all") whole else subset(whole, d == domain)
    part_y <- subset(part, !is.na(y))
    mean_y <- svymean(~y, part, na.rm = TRUE, deff = TRUE)
    total_y <- svytotal(~y, part, na.rm = TRUE, deff = TRUE)
    ratio <- svyratio(~yx, ~x, part, na.rm = TRUE)
    logit <- attr(svyciprop(~yy, part_y, method = "xlogit"), "ci")
    beta <- attr(svyciprop(~yy, part_y, method = "beta"), "ci")
    out[[length(out) + 1]] <- data.frame(
      design = name, lonely = designs[[name]][[2]], domain = domain, df = degf(part_y),
      mean = coef(mean_y), mean_se = as.numeric(SE(mean_y)), mean_deff = as.numeric(deff(mean_y)),
      total = coef(total_y), total_se = as.numeric(SE(total_y)), total_deff = as.numeric(deff(total_y)),
      ratio = coef(ratio), ratio_se = as.numeric(SE(ratio)),
      logit_low = logit[1], logit_high = logit[2], beta_low = beta[1], beta_high = beta[2],
      nrow_design = nrow(part_y), row.names = NULL)
  }
}
result <- do.call(rbind, out)
numbers <- sapply(result, is.numeric)
result[numbers] <- lapply(result[numbers], function(v) ifelse(is.na(v), "", sprintf("%.17g", v)))
write.csv(result, file.path(folder, "taylor_results.csv"), row.names = FALSE, quote = FALSE)
