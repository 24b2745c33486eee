# Golden values of tests/unit/stats/test_golden_calibration.py, made with R 4.2.2 and survey 4.1-1:
#   Rscript tests/golden/calibration.R      (run in the repository's root)
# Weights and standard errors after calibration. Writes calibration_data.csv, _weights.csv and _results.csv.
suppressMessages(library(survey))
options(digits = 17, survey.lonely.psu = "fail")
set.seed(20261124)
folder <- "tests/golden"

# Three strata of clusters.
psu <- rep(1:18, times = sample(3:7, 18, replace = TRUE))
data <- data.frame(psu = psu, h = c("a", "b", "c")[(psu - 1) %/% 6 + 1])
n <- nrow(data)
data$fpc <- c(a = 40, b = 60, c = 150)[data$h]
data$sex <- sample(c("F", "M"), n, replace = TRUE)
data$reg <- sample(c("N", "S", "W"), n, replace = TRUE, prob = c(.5, .3, .2))
data$age <- sample(c("old", "mid", "young"), n, replace = TRUE)
data$emp <- round(exp(rnorm(n, 3, .6)), 1)
data$none <- 0
data$y <- as.numeric(runif(n) < plogis(-1 + .6 * (data$sex == "M") + .02 * data$emp))
data$x <- round(5 + data$emp * runif(n, .5, 1.5), 2)
data$d <- as.integer(runif(n) < .4)
data$w <- round(c(a = 20, b = 30, c = 50)[data$h] * runif(n, .8, 1.2), 3)
data$w0 <- ifelse(seq_len(n) %% 9 == 0, 0, data$w)
write.csv(data, file.path(folder, "calibration_data.csv"), row.names = FALSE, quote = FALSE)

design <- function(weights = ~w) svydesign(id = ~psu, strata = ~h, fpc = ~fpc, weights = weights, data = data)
base <- design()
pop <- function(variable, values) setNames(data.frame(names(values), unname(values)), c(variable, "Freq"))
sex <- c(F = 1650, M = 1500)
reg <- c(N = 1600, S = 950, W = 600)
age <- c(mid = 1150, old = 1050, young = 950)
cross <- data.frame(sex = rep(c("F", "M"), 3), reg = rep(c("N", "S", "W"), each = 2),
                    Freq = c(850, 750, 500, 450, 300, 300))
tight <- list(epsilon = 1e-13, maxit = 1000, verbose = FALSE)
totals <- c(`(Intercept)` = 3150, sexM = 1500, regS = 950, regW = 600, emp = 86000)
tot <- function(formula, values, D = base, ...) calibrate(D, formula, values, epsilon = 1e-13, maxit = 500, ...)
ones <- svydesign(id = ~psu, strata = ~h, fpc = ~fpc, weights = ~I(w / 40), data = data)

cases <- list(
  post = postStratify(base, ~sex, pop("sex", sex)),
  post_cross = postStratify(base, ~sex + reg, cross),
  post_twice = postStratify(postStratify(base, ~sex, pop("sex", sex)), ~reg, pop("reg", reg)),
  post_zero_weights = postStratify(design(~w0), ~reg, pop("reg", reg)),
  post_partial = suppressWarnings(postStratify(base, ~sex, pop("sex", c(sex, X = 9)), partial = TRUE)),
  rake = rake(base, list(~sex, ~reg, ~age), list(pop("sex", sex), pop("reg", reg), pop("age", age)), control = tight),
  rake_loose = rake(base, list(~sex, ~reg, ~age), list(pop("sex", sex), pop("reg", reg), pop("age", age))),
  post_rake = rake(postStratify(base, ~age, pop("age", age)), list(~sex, ~reg),
                   list(pop("sex", sex), pop("reg", reg)), control = tight),
  linear = tot(~sex + reg + emp, totals),
  linear_categories = tot(~sex + reg, totals[1:4]),
  linear_interaction = tot(~sex + sex:emp, c(`(Intercept)` = 3150, sexM = 1500, `sexF:emp` = 42000, `sexM:emp` = 44000)),
  linear_negative = tot(~sex + emp, c(`(Intercept)` = 3150, sexM = 1500, emp = 150000)),
  linear_unused = tot(~sex + none, c(`(Intercept)` = 3150, sexM = 1500, none = 0)),
  linear_bounded = tot(~sex + reg + emp, totals, bounds = c(0.82, 1.295)),
  linear_upper = tot(~sex + reg + emp, totals, bounds = c(-Inf, 1.2)),
  raking = tot(~sex + reg + emp, totals, calfun = "raking"),
  raking_bounded = tot(~sex + reg + emp, totals, calfun = "raking", bounds = c(0.8, 1.3)),
  logit = tot(~sex + reg + emp, totals, calfun = "logit", bounds = c(0.7, 1.4)),
  raking_loose = calibrate(base, ~sex + reg + emp, totals, calfun = "raking", epsilon = 1e-3),
  logit_loose = calibrate(base, ~sex + reg + emp, totals, calfun = "logit", bounds = c(0.7, 1.4), epsilon = 1e-3),
  logit_rescaled = suppressWarnings(tot(~sex + reg + emp, totals, ones, calfun = "logit", bounds = c(0.7, 1.4))),
  raking_rescaled = suppressWarnings(tot(~emp - 1, c(emp = 86000), ones, calfun = "raking")),
  linear_raking = tot(~age, c(`(Intercept)` = 3150, ageold = 1050, ageyoung = 950),
                      tot(~sex + emp, totals[c(1, 2, 5)]), calfun = "raking")
)

weights_table <- do.call(rbind, lapply(names(cases), function(case)
  data.frame(case = case, row = seq_len(n), weight = sprintf("%.17g", weights(cases[[case]])))))
wide <- reshape(weights_table, idvar = "row", timevar = "case", direction = "wide")
names(wide) <- sub("^weight\\.", "", names(wide))
write.csv(wide, file.path(folder, "calibration_weights.csv"), row.names = FALSE, quote = FALSE)

results <- do.call(rbind, lapply(names(cases), function(case) {
  D <- cases[[case]]
  found <- list(
    mean = svymean(~y, D), total = svytotal(~y, D), ratio = svyratio(~y, ~x, D),
    domain_mean = svymean(~y, subset(D, d == 1)), domain_total = svytotal(~x, subset(D, d == 1))
  )
  data.frame(case = case, statistic = names(found),
             estimate = sprintf("%.17g", sapply(found, function(f) as.vector(coef(f)))),
             se = sprintf("%.17g", sapply(found, function(f) as.vector(SE(f)))))
}))
write.csv(results, file.path(folder, "calibration_results.csv"), row.names = FALSE, quote = FALSE)
