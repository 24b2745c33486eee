# Golden values of tests/unit/stats/test_golden_models.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/models.R      (run in the repository's root)
# Writes models_data.csv, models_factors.csv (replicate factors by PSU) and models_results.csv beside this script.
#
# No column is named g: svyglm on replicate weights would take it for its own call.
# glm.control(epsilon = 1e-14): R's default of 1e-8 leaves standard errors off by up to 1e-6.
suppressMessages(library(survey))
options(digits = 17, survey.adjust.domain.lonely = FALSE)
set.seed(40417)
folder <- "tests/golden"
# R looks for the saddlepoint to 1e-8, which moves its p-values by up to 1e-7 of themselves: here to 1e-15.
saddle <- survey:::saddle
body(saddle) <- parse(text = sub("tol = 1e-08", "tol = 1e-15", deparse(body(saddle)), fixed = TRUE))[[1]]
stopifnot(any(grepl("1e-15", deparse(body(saddle)))))
assignInNamespace("saddle", saddle, "survey")
tight <- glm.control(epsilon = 1e-14, maxit = 100)

# Five strata of PSUs, two to four units drawn of each PSU; h5 has one PSU (used under 'average' and 'adjust' only).
sizes <- list(h1 = 7, h2 = 6, h3 = 5, h4 = 6, h5 = 1)
population <- c(h1 = 40, h2 = 25, h3 = 12, h4 = 60, h5 = 5)
rows <- do.call(rbind, lapply(names(sizes), function(h) do.call(rbind, lapply(seq_len(sizes[[h]]), function(j) {
  ssus <- sample(2:4, 1)
  m <- sample(2:3, ssus, TRUE)
  data.frame(h = h, psu = paste0(h, "-", j), ssu = rep(seq_len(ssus), m), N = population[[h]], M = ssus + 3,
             w = round(population[[h]] / sizes[[h]] * runif(sum(m), 0.7, 1.4), 6))
}))))
n <- nrow(rows)
shift <- ave(rnorm(n), rows$psu, FUN = function(v) rnorm(1))
rows$id <- sprintf("u%03d", seq_len(n))
rows$d <- sample(c("A", "B", "C"), n, TRUE, c(0.5, 0.3, 0.2))
rows$grp <- sample(c("p", "q", "r"), n, TRUE)
rows$size <- sample(c("small", "medium", "large"), n, TRUE, c(0.5, 0.3, 0.2))
rows$it <- runif(n) < 0.4                                 # has an IT unit
rows$emp <- round(exp(rnorm(n, 3.2, 0.7)))
rows$z <- round(3 + 0.8 * (rows$size == "large") + 0.02 * rows$emp + shift + rnorm(n), 4)
rows$z0 <- round(rows$z - 0.2 + rnorm(n, sd = 0.7), 4)    # the same unit a year before
rows$ai <- rbinom(n, 1, plogis(-1 + 0.9 * rows$it + 0.03 * rows$emp - 0.5 * (rows$grp == "q") + 0.6 * shift))
rows$k <- rpois(n, exp(-1.5 + 0.6 * rows$it + 0.5 * shift) * rows$emp / 10)
rows$tech <- ifelse(rows$ai == 1, sample(c("text", "vision", "other"), n, TRUE, c(0.5, 0.3, 0.2)), "none")
rows$logemp <- round(log(rows$emp), 6)
rows$z[sample(n, 12)] <- NA
rows$ai[sample(n, 9)] <- NA
rows$size[sample(n, 8)] <- NA
rows$tech[sample(n, 10)] <- NA
rows$w0 <- ifelse(rows$psu == "h1-2" | seq_len(n) %% 17 == 0, 0, rows$w)     # one PSU without weight
write.csv(rows[c("id", "h", "psu", "ssu", "N", "M", "w", "d", "grp", "size", "it", "emp", "logemp", "z", "z0", "ai", "k",
                 "tech", "w0")], file.path(folder, "models_data.csv"), row.names = FALSE, na = "")

several <- subset(rows, h != "h5")
clusters <- svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = several)
D <- list(
  clusters = clusters,
  clusters_nofpc = svydesign(ids = ~psu, strata = ~h, weights = ~w, data = several),
  units = svydesign(ids = ~1, weights = ~w, data = several),
  two_stage = svydesign(ids = ~ psu + ssu, strata = ~h, weights = ~w, fpc = ~ N + M, data = several),
  zero = svydesign(ids = ~psu, strata = ~h, weights = ~w0, fpc = ~N, data = several),
  adjust = svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = rows),
  average = svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = rows),
  post = postStratify(clusters, ~grp, data.frame(grp = c("p", "q", "r"), Freq = c(260, 240, 250))),
  cal = calibrate(clusters, ~emp, c(`(Intercept)` = 1150, emp = 36000)),
  jkn = as.svrepdesign(clusters, type = "JKn", compress = FALSE),
  bootstrap = as.svrepdesign(svydesign(ids = ~psu, strata = ~h, weights = ~w, data = several), type = "subbootstrap",
                             replicates = 40, compress = FALSE, mse = TRUE))
factors <- do.call(rbind, lapply(c("jkn", "bootstrap"), function(name) {
  r <- weights(D[[name]], "replication")[!duplicated(several$psu), ]
  data.frame(design = name, psu = several$psu[!duplicated(several$psu)], replicate = as.vector(col(r)),
             factor = sprintf("%.17g", as.vector(r)))
}))
write.csv(subset(factors, factor != "1"), file.path(folder, "models_factors.csv"), row.names = FALSE, quote = FALSE)
scales <- do.call(rbind, lapply(c("jkn", "bootstrap"), function(name) {
  data.frame(design = name, replicate = seq_along(D[[name]]$rscales), scale = sprintf("%.17g", D[[name]]$scale),
             rscales = sprintf("%.17g", D[[name]]$rscales))
}))
write.csv(scales, file.path(folder, "models_scales.csv"), row.names = FALSE, quote = FALSE)

out <- list()
keep <- function(...) {
  row <- data.frame(..., stringsAsFactors = FALSE)
  for (name in setdiff(c("estimate", "se", "statistic", "df1", "df2", "p", "low", "high"), names(row))) row[[name]] <- NA
  out[[length(out) + 1]] <<- row[c("design", "domain", "case", "term", "estimate", "se", "statistic", "df1", "df2", "p",
                                   "low", "high")]
}
# Domain "few" has no row in stratum h3 and one PSU of several in h4.
part <- function(name, domain) {
  switch(domain, all = D[[name]], few = subset(D[[name]], d != "C" & (h %in% c("h1", "h2", "h5") | psu == "h4-1")),
         subset(D[[name]], d == domain))
}

models <- list(
  logit = list(ai ~ it + logemp + grp, quasibinomial()),
  logit_cross = list(ai ~ it + logemp + it:logemp, quasibinomial()),
  logit_reference = list(ai ~ relevel(factor(size), "small") + logemp, quasibinomial()),
  linear = list(z ~ size + emp + it, gaussian()),
  linear_cells = list(z ~ grp - 1, gaussian()),
  poisson_offset = list(k ~ it + grp + offset(logemp), quasipoisson()))
tested <- list(logit = ~grp, logit_cross = ~ it + it:logemp, linear = ~size, poisson_offset = ~ it + grp)
where <- list(clusters = c("all", "A", "C"), clusters_nofpc = "all", units = c("all", "B"), two_stage = c("all", "A"),
              zero = c("all", "B"), adjust = c("all", "few"), average = c("all", "few"), post = c("all", "B"), cal = c("all", "A"),
              jkn = c("all", "A"), bootstrap = "all")
for (name in names(where)) for (domain in where[[name]]) {
  options(survey.lonely.psu = if (name %in% c("average", "adjust")) name else "fail",
          survey.adjust.domain.lonely = name == "adjust")
  design <- part(name, domain)
  for (case in names(models)) {
    m <- suppressWarnings(svyglm(models[[case]][[1]], design, family = models[[case]][[2]], control = tight))
    s <- summary(m)$coefficients
    limits <- suppressWarnings(confint(m))
    for (i in seq_len(nrow(s))) {
      keep(design = name, domain = domain, case = case, term = rownames(s)[i], estimate = s[i, 1], se = s[i, 2],
           statistic = s[i, 3], df2 = m$df.residual, p = s[i, 4], low = limits[i, 1], high = limits[i, 2])
    }
    if (case %in% names(tested)) {
      t <- regTermTest(m, tested[[case]])
      keep(design = name, domain = domain, case = paste0(case, "_terms"), term = "terms", statistic = as.numeric(t$Ftest),
           df1 = t$df, df2 = t$ddf, p = as.numeric(t$p))
    }
  }
  tests <- list(t_two = svyttest(z ~ it, design), t_one = svyttest(z ~ 0, design, na.rm = TRUE),
                t_paired = svyttest(I(z - z0) ~ 0, design, na.rm = TRUE))
  for (case in names(tests)) {
    t <- tests[[case]]
    keep(design = name, domain = domain, case = case, term = "mean", estimate = as.numeric(t$estimate),
         statistic = as.numeric(t$statistic), df2 = as.numeric(t$parameter), p = as.numeric(t$p.value),
         low = t$conf.int[1], high = t$conf.int[2])
  }
  for (statistic in c("F", "Chisq", "Wald", "adjWald", "saddlepoint")) for (pair in list(c("ai", "it"), c("size", "grp"))) {
    t <- suppressWarnings(svychisq(as.formula(paste0("~", pair[1], "+", pair[2])), design, statistic = statistic))
    parameter <- if (is.null(t$parameter)) c(NA, NA) else c(t$parameter, NA)[1:2]
    keep(design = name, domain = domain, case = paste0("chisq_", statistic), term = paste(pair, collapse = ":"),
         statistic = as.numeric(t$statistic), df1 = parameter[1], df2 = parameter[2], p = as.numeric(t$p.value))
  }
}

# A separated model: no unit of group q has AI. R's default rule stops its rounds.
forced <- several
forced$ai[forced$grp == "q"] <- 0
m <- suppressWarnings(svyglm(ai ~ grp, svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = forced),
                             family = quasibinomial()))
for (i in 1:3) keep(design = "clusters", domain = "all", case = "separated", term = names(coef(m))[i],
                    estimate = coef(m)[[i]], se = SE(m)[[i]], df2 = m$df.residual)

# Aliased: emp2 is twice emp. R leaves it without an estimate.
several$emp2 <- 2 * several$emp
m <- svyglm(z ~ emp + emp2 + it, svydesign(ids = ~psu, strata = ~h, weights = ~w, fpc = ~N, data = several))
for (i in seq_along(coef(m))) keep(design = "clusters", domain = "all", case = "aliased", term = names(coef(m))[i],
                                   estimate = coef(m)[[i]], se = SE(m)[[i]], df2 = m$df.residual)

result <- do.call(rbind, out)
result$term <- sub('relevel(factor(size), "small")', "size", result$term, fixed = TRUE)
numbers <- sapply(result, is.numeric)
result[numbers] <- lapply(result[numbers], function(v) ifelse(is.na(v), "", sprintf("%.17g", v)))
write.csv(result, file.path(folder, "models_results.csv"), row.names = FALSE, quote = FALSE)
